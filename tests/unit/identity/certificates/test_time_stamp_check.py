"""Time-stamps of external authorities and of the own: which are valid, and why others are not."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from asn1crypto import tsp
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from qagazsyz.common.v1.certificates_pb2 import CertificateStatus
from qagazsyz.identity.v1 import certificates_pb2 as pb
from services.identity.certificates.time_stamp_check import (
    StampedData,
    TimeStampCheck,
    TimeStampStatus,
    TimeStampVerifier,
)
from services.identity.main import MIGRATIONS
from services.identity.validation.interface import Chain, Finding
from services.identity.validation.trust_store import STAMPERS
from services.identity.validation.validator import Validator
from services.identity.worker_pools import INSPECTION
from services.identity.x509 import hash_oids
from services.identity.x509.certificate_bounds import PARTS_LIMIT
from services.identity.x509.time_stamp_tokens import TOKEN_LIMIT_BYTES
from services.runtime.storage.database import Database, sqlite_url
from services.runtime.storage.migrations import migrate
from signatures import hashing, oids
from signatures.der import SEQUENCE, encode
from signatures.gost.streebog import streebog256
from tests.unit.identity.authorities import CRL, External, revocation_list
from tests.unit.identity.chains import AUTHORITY, NOW, ROOT, GostKey, Made, key_usage, make, new_key
from tests.unit.identity.service import Identity
from tests.unit.identity.stamps import (
    DATA,
    SHA1,
    STREEBOG256,
    STREEBOG512,
    THEN,
    by_issuer_and_serial,
    by_sha1,
    by_sha256,
    by_streebog,
    make_query,
    make_token,
    stamper,
    stamping,
)


@dataclass
class Stamps:
    """An external authority, and what verifies its time-stamps."""

    external: External
    verifier: TimeStampVerifier

    def authority(self, **changes: Any) -> Made:
        """A time-stamping authority under the one that is trusted, with its list published."""
        key = changes.pop("key", None)
        issuer = changes.pop("issuer", self.external.authority)
        return make(stamper(**{"crls": [CRL]} | changes), issuer, key=key)

    async def verify(self, stamped: Sequence[StampedData]) -> list[TimeStampCheck]:
        return await self.verifier.verify(stamped, INSPECTION)

    async def check(self, token: bytes, data: bytes = DATA) -> TimeStampCheck:
        (check,) = await self.verify([StampedData(token, data, None)])
        return check

    async def status(self, token: bytes, data: bytes = DATA) -> str:
        return (await self.check(token, data)).status.name


@pytest.fixture
async def stamps(external: External, tmp_path: Path) -> AsyncIterator[Stamps]:
    database = Database(sqlite_url(tmp_path / "identity.db"))
    await migrate(database, MIGRATIONS)
    external.publishes()
    yield Stamps(
        external,
        TimeStampVerifier(database=database, external=external.validator, clock=external.clock),
    )
    await database.close()


KEYS: dict[str, Callable[[], Any]] = {
    "P-256": new_key,
    "P-384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "RSA": lambda: rsa.generate_private_key(65537, 2048),
    "Ed25519": ed25519.Ed25519PrivateKey.generate,
    "GOST": GostKey,
}


@pytest.mark.parametrize("kind", KEYS)
async def test_a_token_is_valid_by_any_kind_of_key(stamps: Stamps, kind: str) -> None:
    authority = stamps.authority(key=KEYS[kind]())
    check = await stamps.check(make_token(authority))
    assert check.status is TimeStampStatus.VALID
    assert check.signer == authority.der
    assert check.stamp is not None
    assert check.stamp.time == THEN
    assert (check.stamp.policy, check.stamp.serial_number) == ("1.2.398.3.3.2.6.4", 2**100 + 1)


@pytest.mark.parametrize(("kind", "algorithm"), [("RSA", oids.RSA), ("GOST", oids.KZ_GOST_512)])
async def test_a_signature_may_name_its_keys_algorithm_only(
    stamps: Stamps, kind: str, algorithm: str
) -> None:
    authority = stamps.authority(key=KEYS[kind]())
    assert await stamps.status(make_token(authority, algorithm=algorithm)) == "VALID"


@pytest.mark.parametrize("names", [by_sha1, by_streebog, by_issuer_and_serial])
async def test_the_certificate_is_named_in_any_of_the_ways(
    stamps: Stamps, names: Callable[[Made], list[dict[str, Any]]]
) -> None:
    assert await stamps.status(make_token(stamps.authority(), names=names)) == "VALID"


async def test_the_signer_is_named_by_its_key_identifier_too(stamps: Stamps) -> None:
    key = new_key()
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    authority = stamps.authority(key=key, extensions=(stamping(), (identifier, False)))
    assert await stamps.status(make_token(authority, by_key_identifier=True)) == "VALID"
    assert await stamps.status(make_token(authority, sid_serial=5)) == "UNTRUSTED"


@pytest.mark.parametrize("imprint", [STREEBOG256, STREEBOG512])
async def test_data_are_hashed_as_the_token_says(stamps: Stamps, imprint: str) -> None:
    assert await stamps.status(make_token(stamps.authority(), imprint=imprint)) == "VALID"


async def test_a_whole_response_is_accepted_and_a_refusal_is_malformed(stamps: Stamps) -> None:
    token = make_token(stamps.authority())
    for status, expected in (
        ("granted", "VALID"),
        ("granted_with_mods", "VALID"),
        ("rejection", "MALFORMED"),
        ("waiting", "MALFORMED"),
        ("revocation_notification", "MALFORMED"),
    ):
        answer = encode(SEQUENCE, tsp.PKIStatusInfo({"status": status}).dump() + token)
        assert await stamps.status(answer) == expected
    refusal = tsp.PKIStatusInfo({"status": "rejection", "fail_info": {"bad_alg"}})
    assert await stamps.status(encode(SEQUENCE, refusal.dump())) == "MALFORMED"


async def test_lengths_may_be_indefinite_around_what_is_signed(stamps: Stamps) -> None:
    token = make_token(stamps.authority())
    outer = tsp.ContentInfo.load(token)
    kind, content = outer["content_type"].dump(), outer["content"]
    opened = b"\x30\x80" + kind + b"\xa0\x80\x30\x80" + content.untag().contents + b"\x00\x00" * 3
    assert await stamps.status(opened) == "VALID"


async def test_an_intermediate_may_come_with_the_token(stamps: Stamps) -> None:
    between = make(replace(AUTHORITY, common_name="Between", crls=[CRL]), stamps.external.root)
    stamps.external.network.crls["http://between.example/list"] = revocation_list(between)
    stamps.external.network.crls[CRL] = revocation_list(stamps.external.root)
    authority = stamps.authority(issuer=between, crls=["http://between.example/list"])
    assert await stamps.status(make_token(authority)) == "UNTRUSTED"
    carried = [stamps.external.root, between, authority]
    assert await stamps.status(make_token(authority, certificates=carried)) == "VALID"


def twice(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [*found, found[1] | {"values": [bytes(32)]}]


def two_values(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [found[0], found[1] | {"values": [*found[1]["values"], bytes(32)]}, found[2]]


def without(index: int) -> Callable[[list[dict[str, Any]]], list[dict[str, Any]]]:
    return lambda found: [one for place, one in enumerate(found) if place != index]


MALFORMED: dict[str, dict[str, Any]] = {
    "two signatures": {"signers": 2},
    "no signature": {"signers": 0},
    "of something else": {"wrapped_as": "data"},
    "signed as something else": {"content_type": "data"},
    "signed without a type": {"attributes": without(0)},
    "signed without a digest": {"attributes": without(1)},
    "signed without naming the certificate": {"attributes": without(2)},
    "an attribute twice": {"attributes": twice},
    "an attribute of two values": {"attributes": two_values},
    "without signed attributes": {"signed": False},
    "another version": {"version": "v2"},
    "a critical extension": {"extensions": [("1.2.3.4", True)]},
    "a number that is too long": {"serial_number": 1 << 161},
    "PKCS#7": {"cms_version": "v1"},
}


@pytest.mark.parametrize("fault", MALFORMED)
async def test_a_malformed_token_is_malformed(stamps: Stamps, fault: str) -> None:
    authority = stamps.authority()
    assert await stamps.status(make_token(authority, **MALFORMED[fault])) == "MALFORMED"


async def test_an_extension_that_is_not_critical_is_ignored(stamps: Stamps) -> None:
    token = make_token(stamps.authority(), extensions=[("1.2.3.4", False)])
    assert await stamps.status(token) == "VALID"


async def test_too_many_bytes_or_certificates_are_not_looked_at(stamps: Stamps) -> None:
    authority = stamps.authority()
    token = make_token(authority)
    assert await stamps.status(token + bytes(TOKEN_LIMIT_BYTES)) == "MALFORMED"
    many = make_token(authority, certificates=[authority] * 17)
    assert await stamps.status(many) == "MALFORMED"


@pytest.mark.parametrize(
    "times",
    [
        "20260301120000",
        "20260301120000+0500",
        "202603011200Z",
        "20260301120060Z",
        "２0260301120000Z",
    ],
)
async def test_a_malformed_time_is_malformed(stamps: Stamps, times: str) -> None:
    token = make_token(stamps.authority())
    said = f"{THEN:%Y%m%d%H%M%S}Z".encode()
    assert said in token
    encoded = times.encode()[: len(said)].ljust(len(said), b"0")
    assert await stamps.status(token.replace(said, encoded)) == "MALFORMED"


async def test_a_token_over_something_else_is_of_a_wrong_imprint(stamps: Stamps) -> None:
    token = make_token(stamps.authority())
    assert await stamps.status(token, b"another signature") == "WRONG_IMPRINT"
    asked = [
        StampedData(token, None, digest)
        for digest in (hashlib.sha256(DATA).digest(), hashlib.sha512(DATA).digest(), b"")
    ]
    found = [check.status for check in await stamps.verify(asked)]
    assert found == [
        TimeStampStatus.VALID,
        TimeStampStatus.WRONG_IMPRINT,
        TimeStampStatus.WRONG_IMPRINT,
    ]


async def test_an_imprint_by_a_weak_hash_shows_nothing(stamps: Stamps) -> None:
    token = make_token(stamps.authority(), imprint=SHA1)
    assert await stamps.status(token) == "WRONG_IMPRINT"
    digest = hashlib.sha1(DATA, usedforsecurity=False).digest()
    (check,) = await stamps.verify([StampedData(token, None, digest)])
    assert check.status is TimeStampStatus.WRONG_IMPRINT


@pytest.mark.parametrize(
    "fault",
    [
        {"message_digest": bytes(32)},
        {"digest": SHA1},
        {"algorithm": "1.2.840.10045.4.1"},
        {"algorithm": oids.RSA},
        {"algorithm": "1.2.3.4"},
    ],
    ids=str,
)
async def test_a_wrong_signature_is_invalid(stamps: Stamps, fault: dict[str, Any]) -> None:
    assert await stamps.status(make_token(stamps.authority(), **fault)) == "INVALID_SIGNATURE"


async def test_another_time_under_the_same_signature_is_invalid(stamps: Stamps) -> None:
    token = make_token(stamps.authority())
    before = f"{THEN:%Y%m%d%H%M%S}Z".encode()
    after = f"{THEN - timedelta(days=1):%Y%m%d%H%M%S}Z".encode()
    assert await stamps.status(token.replace(before, after)) == "INVALID_SIGNATURE"


async def test_a_certificate_that_the_signature_does_not_name_is_untrusted(stamps: Stamps) -> None:
    key = new_key()
    mine, theirs = stamps.authority(key=key), stamps.authority(key=key)
    # The same key under two certificates: the signature says which one is meant.
    for names, carried in ((by_sha256, theirs), (by_sha1, theirs)):
        token = make_token(mine, names=names, certificates=[carried])
        assert await stamps.status(token) == "UNTRUSTED"
    other = make_token(mine, names=lambda _: by_sha256(theirs), certificates=[mine, theirs])
    assert await stamps.status(other) == "UNTRUSTED"
    both = make_token(mine, names=lambda made: [*by_sha256(made), *by_sha1(theirs)])
    assert await stamps.status(both) == "UNTRUSTED"
    number = make_token(mine, names=lambda made: by_issuer_and_serial(made, serial=1))
    assert await stamps.status(number) == "UNTRUSTED"
    assert await stamps.status(make_token(mine, certificates=[])) == "UNTRUSTED"


UNFIT: dict[str, dict[str, Any]] = {
    "no purpose": {"extensions": ()},
    "a purpose that is not critical": {"extensions": (stamping(critical=False),)},
    "another purpose": {
        "extensions": ((x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), True),)
    },
    "another purpose beside": {
        "extensions": (stamping(more=[ExtendedKeyUsageOID.EMAIL_PROTECTION]),)
    },
    "any purpose": {
        "extensions": ((x509.ExtendedKeyUsage([ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE]), True),)
    },
    "a key that does not sign": {"usage": key_usage("key_agreement")},
    "an authority's key": {
        "authority": True,
        "usage": key_usage("digital_signature", "key_cert_sign"),
    },
    "expired at that time": {"not_after": THEN - timedelta(seconds=1)},
    "not valid yet at that time": {"not_before": THEN + timedelta(seconds=1)},
    "an extension that is not known": {
        "extensions": (
            stamping(),
            (x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\5\0"), True),
        )
    },
}


@pytest.mark.parametrize("fault", UNFIT)
async def test_a_certificate_that_may_not_stamp_is_not_trusted(stamps: Stamps, fault: str) -> None:
    assert await stamps.status(make_token(stamps.authority(**UNFIT[fault]))) == "UNTRUSTED"


async def test_a_signer_without_a_trusted_issuer_is_untrusted(stamps: Stamps) -> None:
    stranger = make(ROOT)
    token = make_token(stamps.authority(issuer=stranger))
    assert await stamps.status(token) == "UNTRUSTED"
    carried = make_token(make(stamper(), stranger), certificates=None)
    assert await stamps.status(carried) == "UNTRUSTED"
    alone = make(stamper())
    assert await stamps.status(make_token(alone)) == "UNTRUSTED"


async def test_a_time_in_the_future_is_untrusted(stamps: Stamps) -> None:
    authority = stamps.authority()
    assert await stamps.status(make_token(authority, time=NOW + timedelta(minutes=1))) == "VALID"
    assert await stamps.status(make_token(authority, time=NOW + timedelta(hours=1))) == "UNTRUSTED"


async def test_a_signer_whose_revocation_cannot_be_looked_up_is_unknown(stamps: Stamps) -> None:
    del stamps.external.network.crls[CRL]
    assert await stamps.status(make_token(stamps.authority())) == "UNKNOWN"
    assert await stamps.status(make_token(stamps.authority(crls=()))) == "UNKNOWN"


@pytest.mark.parametrize("reason", [x509.ReasonFlags.superseded, x509.ReasonFlags.key_compromise])
async def test_earlier_tokens_survive_a_revocation_without_key_compromise(
    stamps: Stamps, reason: x509.ReasonFlags
) -> None:
    authority = stamps.authority()
    stamps.external.publishes((authority, THEN), reason=reason)
    before = await stamps.status(make_token(authority, time=THEN - timedelta(seconds=1)))
    superseded = reason is x509.ReasonFlags.superseded
    assert before == ("VALID" if superseded else "UNTRUSTED")
    assert await stamps.status(make_token(authority, time=THEN)) == "UNTRUSTED"


async def test_a_revoked_issuer_is_trusted_at_no_time(stamps: Stamps) -> None:
    between = make(replace(AUTHORITY, common_name="Between", crls=[CRL]), stamps.external.root)
    stamps.external.network.crls = {
        CRL: revocation_list(
            stamps.external.root, [(between, NOW)], reason=x509.ReasonFlags.superseded
        ),
        "http://between.example/list": revocation_list(between),
    }
    authority = stamps.authority(issuer=between, crls=["http://between.example/list"])
    token = make_token(authority, certificates=[between, authority])
    assert await stamps.status(token) == "UNTRUSTED"


async def test_tokens_of_one_signer_share_a_look_up_of_its_revocation(stamps: Stamps) -> None:
    authority = stamps.authority()
    tokens = [make_token(authority, time=THEN + timedelta(minutes=n)) for n in range(20)]
    asked = [
        StampedData(token, b"another" if index == 7 else DATA, None)
        for index, token in enumerate(tokens)
    ]
    checks = await stamps.verify(asked)
    assert [check.status for check in checks] == [
        TimeStampStatus.WRONG_IMPRINT if index == 7 else TimeStampStatus.VALID
        for index in range(20)
    ]
    times = [check.stamp.time for check in checks if check.stamp is not None]
    assert times == [THEN + timedelta(minutes=n) for n in range(20) if n != 7]
    assert stamps.external.network.asked == [CRL]


async def test_a_silent_source_is_waited_for_once(
    stamps: Stamps, monkeypatch: pytest.MonkeyPatch
) -> None:
    look_ups = []
    find_revocations = Validator.find_revocations

    async def counted(self: Validator, chain: Chain) -> list[Finding]:
        look_ups.append(chain)
        return await find_revocations(self, chain)

    monkeypatch.setattr(Validator, "find_revocations", counted)
    stamps.external.network.crls.clear()
    authority = stamps.authority()
    tokens = [make_token(authority, time=THEN + timedelta(minutes=n)) for n in range(20)]
    checks = await stamps.verify([StampedData(token, DATA, None) for token in tokens])
    assert {check.status for check in checks} == {TimeStampStatus.UNKNOWN}
    assert len(look_ups) == 1


@pytest.fixture
def without_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """Streebog in Python, of which a request has 8,000 bytes."""
    monkeypatch.setattr(hashing, "STREEBOG_IN_PYTHON", True)
    monkeypatch.setattr(hash_oids, "PYTHON_LIMIT_BYTES", 8_000)


@pytest.mark.usefixtures("without_kernel")
async def test_data_too_large_for_python_are_unknown_and_their_digest_is_accepted(
    stamps: Stamps,
) -> None:
    data = bytes(1_000)
    token = make_token(stamps.authority(), imprint=STREEBOG256, data=data)
    digest = streebog256(data)
    asked = [*[StampedData(token, data, None)] * 9, StampedData(token, None, digest)]
    checks = await stamps.verify(asked)
    assert [check.status for check in checks] == [
        *[TimeStampStatus.VALID] * 8,
        TimeStampStatus.UNKNOWN,
        TimeStampStatus.VALID,
    ]


@pytest.mark.usefixtures("without_kernel")
async def test_certificates_and_contents_that_are_hashed_in_python_count_too(
    stamps: Stamps,
) -> None:
    digest = hashlib.sha256(DATA).digest()
    for token in (
        make_token(stamps.authority(), names=by_streebog),
        make_token(stamps.authority(key=GostKey())),
    ):
        checks = await stamps.verify([StampedData(token, None, digest)] * 40)
        found = [check.status for check in checks]
        assert found[0] is TimeStampStatus.VALID
        assert found[-1] is TimeStampStatus.UNKNOWN


async def test_the_kernel_hashes_data_of_any_size(
    stamps: Stamps, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hashing, "STREEBOG_IN_PYTHON", False)
    monkeypatch.setattr(hash_oids, "PYTHON_LIMIT_BYTES", 0)
    token = make_token(stamps.authority(), imprint=STREEBOG256, data=bytes(1_000))
    assert await stamps.status(token, bytes(1_000)) == "VALID"


async def test_a_signer_with_too_many_parts_in_its_name_is_untrusted(stamps: Stamps) -> None:
    unit = x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "unit")
    for count, status in ((PARTS_LIMIT, "VALID"), (PARTS_LIMIT + 1, "UNTRUSTED")):
        authority = stamps.authority(name=x509.Name([unit] * count))
        assert await stamps.status(make_token(authority)) == status


async def own_status(identity: Identity, token: bytes, data: bytes = DATA) -> str:
    answer = await identity.call(
        "CertificateService/VerifyTimeStamps",
        pb.VerifyTimeStampsRequest(time_stamps=[pb.StampedData(token=token, data=data)]),
        identity.as_citizen("subjects/x"),
    )
    (check,) = answer.checks
    return pb.TimeStampStatus.Name(check.status).removeprefix("TIME_STAMP_STATUS_")


async def test_the_own_authoritys_token_is_valid_with_and_without_certificates(
    identity: Identity,
) -> None:
    for wanted in (True, False):
        answer = await identity.time_stamp(make_query(DATA, cert_req=wanted))
        assert await own_status(identity, answer) == "VALID"
        assert await own_status(identity, answer, b"another") == "WRONG_IMPRINT"
        identity.clock.move(days=365 * 30)
        assert await own_status(identity, answer) == "VALID", "long after it has expired"
        identity.clock.move(days=-365 * 30)


@pytest.mark.parametrize(
    ("reason", "before"),
    [
        (pb.REVOCATION_REASON_SUPERSEDED, "VALID"),
        (pb.REVOCATION_REASON_CESSATION_OF_OPERATION, "VALID"),
        (pb.REVOCATION_REASON_KEY_COMPROMISE, "UNTRUSTED"),
        (pb.REVOCATION_REASON_UNSPECIFIED, "UNTRUSTED"),
    ],
)
async def test_the_own_authoritys_earlier_tokens_survive_a_revocation_without_key_compromise(
    identity: Identity, reason: pb.RevocationReason, before: str
) -> None:
    first = await identity.time_stamp(make_query(DATA))
    identity.clock.move(minutes=1)
    certificates = await identity.certificates(identity.platform)
    (found,) = (one for one in certificates if one.info.common_name.endswith("Stamping"))
    await identity.revoke(found.name, identity.as_operator, reason)
    assert await own_status(identity, first) == before
    assert await own_status(identity, await identity.time_stamp(make_query(DATA))) == "UNTRUSTED"


async def test_a_persons_certificate_may_not_stamp_the_time(identity: Identity) -> None:
    issued, key = await identity.issue(await identity.person())
    name = x509.load_der_x509_certificate(issued.der).subject
    token = make_token(Made(issued.der, key, name), time=identity.clock())
    assert await own_status(identity, token) == "UNTRUSTED"


async def test_an_expired_signer_is_good_at_the_stamped_time(identity: Identity) -> None:
    issued, _ = await identity.issue(await identity.person())
    answer = await identity.time_stamp(make_query(DATA))
    identity.clock.move(days=400)
    asked = [pb.StampedData(token=answer, data=DATA)]
    stamps = await identity.call(
        "CertificateService/VerifyTimeStamps",
        pb.VerifyTimeStampsRequest(time_stamps=asked),
        identity.as_service,
    )
    for at, status in (
        (None, CertificateStatus.CERTIFICATE_STATUS_EXPIRED),
        (stamps.checks[0].time, CertificateStatus.CERTIFICATE_STATUS_GOOD),
    ):
        judged = await identity.call(
            "CertificateService/BatchCheckCertificates",
            pb.BatchCheckCertificatesRequest(certificates=[issued.der], at=at),
            identity.as_service,
        )
        assert judged.checks[0].status == status


async def test_a_request_without_data_and_digest_is_refused(identity: Identity) -> None:
    token = await identity.time_stamp(make_query(DATA))
    for asked in ([pb.StampedData(token=token)], [pb.StampedData(data=b"x")] * 1_001):
        code = await identity.refused(
            "CertificateService/VerifyTimeStamps",
            pb.VerifyTimeStampsRequest(time_stamps=asked),
            identity.as_operator,
        )
        assert code.name == "INVALID_ARGUMENT"


def test_the_statuses_are_the_contracts() -> None:
    numbers = {f"TIME_STAMP_STATUS_{status.name}": int(status) for status in TimeStampStatus}
    assert {"TIME_STAMP_STATUS_UNSPECIFIED": 0} | numbers == dict(pb.TimeStampStatus.items())


async def test_a_signer_may_come_from_the_trust_folder(stamps: Stamps) -> None:
    authority = stamps.authority()
    token = make_token(authority, certificates=())
    assert await stamps.status(token) == "UNTRUSTED"
    (stamps.external.folder / "tsa.der").write_bytes(authority.der)
    assert await stamps.status(token) == "VALID"


async def test_a_signer_without_a_source_is_valid_where_the_operator_says_so(
    stamps: Stamps,
) -> None:
    authority = stamps.authority(crls=())
    token = make_token(authority, certificates=())
    folder = stamps.external.folder
    (folder / "tsa.der").write_bytes(authority.der)
    assert await stamps.status(token) == "UNKNOWN", "it is only at hand"
    (folder / STAMPERS).mkdir()
    (folder / "tsa.der").rename(folder / STAMPERS / "tsa.der")
    assert await stamps.status(token) == "VALID"
    stored = revocation_list(stamps.external.authority, [(authority, THEN)])
    (folder / "list.crl").write_bytes(stored)
    assert await stamps.status(token) == "UNTRUSTED"
