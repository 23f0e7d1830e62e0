"""Checking many certificates: their status at a time, and how long an answer may be reused."""

from __future__ import annotations

from google.protobuf.timestamp_pb2 import Timestamp

from qagazsyz.common.v1.certificates_pb2 import CertificateStatus as Status
from qagazsyz.identity.v1 import certificates_pb2 as pb
from services.identity.x509.limits import FRESH_FOR
from tests.unit.identity.service import AUTHENTICATE, Identity

CHECK = "CertificateService/BatchCheckCertificates"


async def status(identity: Identity, *ders: bytes, at: Timestamp | None = None) -> list[int]:
    answer = await identity.call(
        CHECK,
        pb.BatchCheckCertificatesRequest(certificates=ders, at=at),
        identity.as_citizen("subjects/x"),
    )
    return [check.status for check in answer.checks]


async def test_the_status_follows_the_time(identity: Identity) -> None:
    person = await identity.person()
    made, _ = await identity.issue(person)
    signs_in, _ = await identity.issue(person, usage=AUTHENTICATE)
    assert await status(identity, made.der, signs_in.der, b"nonsense") == [
        Status.CERTIFICATE_STATUS_GOOD,
        Status.CERTIFICATE_STATUS_WRONG_USAGE,
        Status.CERTIFICATE_STATUS_MALFORMED,
    ]
    before, after = Timestamp(), Timestamp()
    before.FromDatetime(identity.clock().replace(year=2020))
    after.FromDatetime(identity.clock().replace(year=2040))
    assert await status(identity, made.der, at=before) == [Status.CERTIFICATE_STATUS_NOT_YET_VALID]
    assert await status(identity, made.der, at=after) == [Status.CERTIFICATE_STATUS_EXPIRED]


async def test_a_status_may_be_asked_for_at_the_first_and_the_last_second_there_is(
    identity: Identity,
) -> None:
    made, _ = await identity.issue(await identity.person())
    first, last = Timestamp(seconds=-62_135_596_800), Timestamp(seconds=253_402_300_799)
    for _ in range(2):
        assert await status(identity, made.der, b"x", at=first) == [
            Status.CERTIFICATE_STATUS_NOT_YET_VALID,
            Status.CERTIFICATE_STATUS_MALFORMED,
        ]
        assert await status(identity, made.der, b"x", at=last) == [
            Status.CERTIFICATE_STATUS_EXPIRED,
            Status.CERTIFICATE_STATUS_MALFORMED,
        ]


async def test_a_revoked_certificate_is_revoked_from_then_on(identity: Identity) -> None:
    made, _ = await identity.issue(await identity.person())
    earlier = Timestamp()
    earlier.FromDatetime(identity.clock())
    identity.clock.move(seconds=60)
    revoked = await identity.revoke(
        made.name, identity.as_registrar, pb.REVOCATION_REASON_KEY_COMPROMISE
    )
    assert revoked.revocation_reason == pb.REVOCATION_REASON_KEY_COMPROMISE
    assert await status(identity, made.der) == [Status.CERTIFICATE_STATUS_REVOKED]
    assert await status(identity, made.der, at=earlier) == [Status.CERTIFICATE_STATUS_GOOD]


async def test_an_answer_is_reused_for_five_seconds_at_most(identity: Identity) -> None:
    made, _ = await identity.issue(await identity.person())
    answer = await identity.call(
        CHECK,
        pb.BatchCheckCertificatesRequest(certificates=[made.der, b"x"]),
        identity.as_service,
    )
    for check in answer.checks:
        assert check.fresh_until.ToDatetime() <= (identity.clock() + FRESH_FOR).replace(tzinfo=None)


async def test_a_certificate_with_a_forged_signature_is_untrusted(identity: Identity) -> None:
    made, _ = await identity.issue(await identity.person())
    forged = bytearray(made.der)
    forged[-1] ^= 1
    assert await status(identity, bytes(forged)) == [Status.CERTIFICATE_STATUS_UNTRUSTED]


async def test_a_certificate_that_only_signs_in_has_no_time_at_which_it_signed_documents(
    identity: Identity,
) -> None:
    made, _ = await identity.issue(await identity.person(), usage=AUTHENTICATE)
    before = Timestamp()
    before.FromDatetime(identity.clock())
    identity.clock.move(minutes=1)
    await identity.revoke(made.name, identity.as_operator)
    answer = await identity.call(
        CHECK,
        pb.BatchCheckCertificatesRequest(certificates=[made.der]),
        identity.as_service,
    )
    (check,) = answer.checks
    assert check.status == Status.CERTIFICATE_STATUS_REVOKED
    assert not check.HasField("valid_from") and not check.HasField("valid_until")
    assert await status(identity, made.der, at=before) == [Status.CERTIFICATE_STATUS_WRONG_USAGE]
