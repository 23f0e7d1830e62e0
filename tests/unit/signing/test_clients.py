"""Identity's answers as the signing service reads them: what is unclear never becomes good."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, cast

import grpc
import pytest
from google.protobuf.message import Message

from qagazsyz.common.v1 import certificates_pb2 as statuses
from qagazsyz.identity.v1 import certificates_pb2, subjects_pb2
from services.runtime.clients import ServiceClient
from services.runtime.clock import to_timestamp
from services.runtime.errors import Unavailable
from services.signing.clients import IdentityClient
from services.signing.verification.time_stamp import TimeStamp, TimeStampStatus
from services.signing.verification.trust import CertificateStatus, CheckedCertificate, HolderRoles
from tests.unit.signing.builders import BANK, MINISTRY, NOW, officer


class FakePeer:
    """Answers every call with one message, or raises; records the requests."""

    def __init__(self, answer: Message | Exception) -> None:
        self.answer = answer
        self.requests: list[Any] = []

    async def call(self, _method: str, request: Message, *_: object, **__: object) -> Message:
        self.requests.append(request)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def client(answer: Message | Exception) -> IdentityClient:
    return IdentityClient(cast("ServiceClient", FakePeer(answer)))


def refusal(
    code: grpc.StatusCode = grpc.StatusCode.INVALID_ARGUMENT,
) -> grpc.aio.AioRpcError:
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata())


def checks(*found: certificates_pb2.CertificateCheck) -> Message:
    return certificates_pb2.BatchCheckCertificatesResponse(checks=found)


async def test_an_answer_about_a_certificate_is_read_whole() -> None:
    revoked = NOW - timedelta(days=1)
    check = certificates_pb2.CertificateCheck(
        status=statuses.CERTIFICATE_STATUS_REVOKED,
        subject="subjects/a",
        revoke_time=to_timestamp(revoked),
        fresh_until=to_timestamp(NOW),
    )
    found = await client(checks(check)).check_certificates([b"der"], None)
    assert found == [CheckedCertificate(CertificateStatus.REVOKED, "subjects/a", revoked, NOW)]


@pytest.mark.parametrize("status", [statuses.CERTIFICATE_STATUS_UNSPECIFIED, 99])
async def test_a_status_that_says_nothing_or_is_newer_is_unknown(status: Any) -> None:
    check = certificates_pb2.CertificateCheck(status=status)
    (found,) = await client(checks(check)).check_certificates([b"der"], NOW)
    assert found.status is CertificateStatus.UNKNOWN


async def test_fewer_answers_than_certificates_are_no_answer() -> None:
    with pytest.raises(Unavailable):
        await client(checks()).check_certificates([b"der"], None)
    with pytest.raises(Unavailable):
        await client(certificates_pb2.InspectCertificatesResponse()).inspect_certificates([b"der"])
    with pytest.raises(Unavailable):
        await client(certificates_pb2.VerifyTimeStampsResponse()).verify_time_stamp(b"t", b"d")


async def test_roles_are_read_with_those_newer_than_this_service() -> None:
    roles = cast("Any", [3, 99])
    info = certificates_pb2.CertificateInfo(bin="061211600012", roles=roles, on_sim=True)
    response = certificates_pb2.InspectCertificatesResponse(certificates=[info])
    found = await client(response).inspect_certificates([b"der"])
    assert found == [HolderRoles("061211600012", frozenset({3, 99}), on_sim=True)]


@pytest.mark.parametrize(
    ("check", "expected"),
    [
        (
            certificates_pb2.TimeStampCheck(
                status=certificates_pb2.TIME_STAMP_STATUS_VALID, time=to_timestamp(NOW)
            ),
            TimeStamp(TimeStampStatus.VALID, NOW),
        ),
        (
            certificates_pb2.TimeStampCheck(status=certificates_pb2.TIME_STAMP_STATUS_VALID),
            TimeStamp(TimeStampStatus.MALFORMED),
        ),
        (
            certificates_pb2.TimeStampCheck(status=certificates_pb2.TIME_STAMP_STATUS_UNTRUSTED),
            TimeStamp(TimeStampStatus.UNTRUSTED),
        ),
        (
            certificates_pb2.TimeStampCheck(status=cast("Any", 99)),
            TimeStamp(TimeStampStatus.MALFORMED),
        ),
    ],
    ids=["valid", "valid without a time", "untrusted", "newer than this service"],
)
async def test_a_time_stamp_is_valid_only_if_identity_says_so_and_when(
    check: certificates_pb2.TimeStampCheck, expected: TimeStamp
) -> None:
    response = certificates_pb2.VerifyTimeStampsResponse(checks=[check])
    assert await client(response).verify_time_stamp(b"token", b"data") == expected


async def test_an_organization_exists_if_identity_returns_it_by_its_name() -> None:
    response = subjects_pb2.BatchGetSubjectsResponse(
        subjects=[
            subjects_pb2.Subject(name=MINISTRY, organization=subjects_pb2.Organization()),
            subjects_pb2.Subject(name="subjects/person", person=subjects_pb2.Person()),
        ]
    )
    identity = client(response)
    assert await identity.organization_exists(MINISTRY, officer())
    for name in (BANK, "subjects/person"):
        assert not await identity.organization_exists(name, officer())


async def test_keys_are_announced_as_they_are() -> None:
    peer = FakePeer(certificates_pb2.HoldKeysResponse())
    await IdentityClient(cast("ServiceClient", peer)).announce_keys([b"one", b"two"])
    assert peer.requests == [certificates_pb2.HoldKeysRequest(public_keys=[b"one", b"two"])]


async def test_a_refusal_of_identity_is_no_answer_and_no_announcement() -> None:
    identity = client(refusal())
    with pytest.raises(Unavailable):
        await identity.announce_keys([b"key"])
    (check,) = await identity.check_certificates([b"der"], None)
    assert check.status is CertificateStatus.UNKNOWN
    (holder,) = await identity.inspect_certificates([b"der"])
    assert not holder.known


async def test_identity_that_refuses_the_call_is_asked_once_and_gave_no_answer() -> None:
    peer = FakePeer(refusal(grpc.StatusCode.UNAUTHENTICATED))
    with pytest.raises(Unavailable):
        await IdentityClient(cast("ServiceClient", peer)).check_certificates([b"a", b"b"], None)
    assert len(peer.requests) == 1


class Brittle:
    """Identity that fails, as a whole, over any request with the bad certificate in it."""

    def __init__(self) -> None:
        self.calls = 0

    async def call(self, _method: str, request: Any, *_: object, **__: object) -> Message:
        self.calls += 1
        if b"bad" in request.certificates:
            raise refusal()
        good = certificates_pb2.CertificateCheck(status=statuses.CERTIFICATE_STATUS_GOOD)
        return checks(*[good] * len(request.certificates))


async def test_a_certificate_that_identity_fails_over_is_unknown_alone() -> None:
    identity = Brittle()
    certificates = [b"good"] * 500 + [b"bad"] + [b"good"] * 499
    found = await IdentityClient(cast("ServiceClient", identity)).check_certificates(
        certificates, None
    )
    unknown = [i for i, each in enumerate(found) if each.status is CertificateStatus.UNKNOWN]
    assert (len(found), unknown) == (1_000, [500])
    assert identity.calls <= 21
