"""Time-stamps, of outside authorities and of the own: what holds, and what does not, and why."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from asn1crypto import tsp
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given, settings
from hypothesis import strategies as st

from qagazsyz.common.v1.certificates_pb2 import CertificateStatus as Status
from qagazsyz.identity.v1 import certificates_pb2 as pb
from services.identity.certificates.time_stamp_check import STREEBOG_LIMIT_BYTES, StampChecking
from services.identity.main import MIGRATIONS
from services.identity.x509.time_stamp_tokens import TOKEN_LIMIT_BYTES, MalformedTimeStamp, read
from services.runtime.clock import from_timestamp
from services.runtime.storage.database import Database
from services.runtime.storage.migrations import migrate
from signatures.der import SEQUENCE, encode
from tests.openssl import openssl
from tests.unit.identity.authorities import revocation_list
from tests.unit.identity.chains import AUTHORITY, NOW, ROOT, GostKey, Made, key_usage, make, new_key
from tests.unit.identity.conftest import Identity
from tests.unit.identity.stamps import (
    DATA,
    GOST,
    RSA,
    SHA1,
    STREEBOG256,
    STREEBOG512,
    THEN,
    Token,
    by_issuer_and_serial,
    by_sha1,
    by_sha256,
    by_streebog,
    make_token,
    stamper,
    stamping,
)
from tests.unit.identity.test_revocation import LIST, World
from tests.unit.identity.test_time_stamping import ask, query


@dataclass
class Stamps:
    """A world of outside authorities, and what checks their time-stamps."""

    world: World
    checking: StampChecking

    def authority(self, **changes: Any) -> Made:
        """A time-stamping authority under the one that is trusted, with its list published."""
        key = changes.pop("key", None)
        issuer = changes.pop("issuer", self.world.authority)
        return make(stamper(**{"lists": [LIST]} | changes), issuer, key=key)

    async def check(self, token: bytes, data: bytes = DATA) -> pb.TimeStampCheck:
        (check,) = await self.checking.check([pb.StampedData(token=token, data=data)])
        assert check.HasField("time") == (check.status == pb.TIME_STAMP_STATUS_VALID)
        return check

    async def status(self, token: bytes, data: bytes = DATA) -> str:
        found = pb.TimeStampStatus.Name((await self.check(token, data)).status)
        return found.removeprefix("TIME_STAMP_STATUS_")


@pytest.fixture
async def stamps(tmp_path: Path) -> AsyncIterator[Stamps]:
    database = Database(f"sqlite+aiosqlite:///{tmp_path / 'identity.db'}")
    await migrate(database, MIGRATIONS)
    world = World(tmp_path / "trust")
    world.publishes()
    yield Stamps(
        world, StampChecking(database=database, outside=world.validator, clock=world.clock)
    )
    await database.close()


# What holds


KEYS: dict[str, Callable[[], Any]] = {
    "P-256": new_key,
    "P-384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "RSA": lambda: rsa.generate_private_key(65537, 2048),
    "Ed25519": ed25519.Ed25519PrivateKey.generate,
    "GOST": GostKey,
}


@pytest.mark.parametrize("kind", KEYS)
async def test_a_token_holds_whatever_kind_of_key_made_it(stamps: Stamps, kind: str) -> None:
    authority = stamps.authority(key=KEYS[kind]())
    check = await stamps.check(make_token(authority))
    assert check.status == pb.TIME_STAMP_STATUS_VALID
    assert from_timestamp(check.time) == THEN
    assert check.policy == "1.2.398.3.3.2.6.4"
    assert check.serial_number == f"{2**100 + 1:x}"
    assert check.authority.common_name == "TSA"
    assert check.authority.fingerprint == hashlib.sha256(authority.der).hexdigest()


@pytest.mark.parametrize(("kind", "algorithm"), [("RSA", RSA), ("GOST", GOST)])
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


async def test_a_whole_answer_is_taken_and_a_refusal_is_no_token(stamps: Stamps) -> None:
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


async def test_lengths_may_be_open_around_what_is_signed(stamps: Stamps) -> None:
    token = make_token(stamps.authority())
    outer = tsp.ContentInfo.load(token)
    kind, content = outer["content_type"].dump(), outer["content"]
    opened = b"\x30\x80" + kind + b"\xa0\x80\x30\x80" + content.untag().contents + b"\x00\x00" * 3
    assert await stamps.status(opened) == "VALID"


async def test_an_authority_between_may_come_with_the_token(stamps: Stamps) -> None:
    between = make(replace(AUTHORITY, common_name="Between", lists=[LIST]), stamps.world.root)
    stamps.world.network.lists["http://between.example/list"] = revocation_list(between)
    stamps.world.network.lists[LIST] = revocation_list(stamps.world.root)
    authority = stamps.authority(issuer=between, lists=["http://between.example/list"])
    assert await stamps.status(make_token(authority)) == "UNTRUSTED"
    carried = [stamps.world.root, between, authority]
    assert await stamps.status(make_token(authority, certificates=carried)) == "VALID"


async def test_openssl_as_the_authority_is_understood(stamps: Stamps, tmp_path: Path) -> None:
    authority = stamps.authority()
    files = {name: tmp_path / name for name in ("tsa.pem", "tsa.key", "ca.pem", "conf", "paper")}
    files["tsa.pem"].write_bytes(authority.pem)
    files["tsa.key"].write_bytes(
        authority.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    files["ca.pem"].write_bytes(stamps.world.authority.pem)
    files["paper"].write_bytes(DATA)
    (tmp_path / "serial").write_text("01\n")
    files["conf"].write_text(
        f"[tsa]\ndefault_tsa=t\n[t]\nserial={tmp_path}/serial\nsigner_digest=sha256\n"
        "default_policy=1.2.3.4\ndigests=sha256,sha512\ness_cert_id_alg=sha256\n"
        "ess_cert_id_chain=yes\nordering=yes\ntsa_name=yes\naccuracy=secs:1,millisecs:5\n"
    )
    asked, answer = tmp_path / "asked", tmp_path / "answer"
    await openssl("ts", "-query", "-data", files["paper"], "-sha512", "-cert", "-out", asked)
    made = await openssl(
        "ts", "-reply", "-config", files["conf"], "-queryfile", asked, "-signer", files["tsa.pem"],
        "-inkey", files["tsa.key"], "-chain", files["ca.pem"], "-out", answer,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    # It stamps the real time, and the world's stands still.
    assert await stamps.status(answer.read_bytes(), b"another") == "WRONG_IMPRINT"
    stamp = read(answer.read_bytes())
    assert stamp.is_over(data=DATA) and stamp.names(authority.der) and stamp.holds(authority.der)
    assert stamp.policy == "1.2.3.4" and len(stamp.certificates) == 2


# What does not


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
    "of PKCS#7": {"cms_version": "v1"},
}


@pytest.mark.parametrize("fault", MALFORMED)
async def test_what_is_no_token_is_malformed(stamps: Stamps, fault: str) -> None:
    authority = stamps.authority()
    assert await stamps.status(make_token(authority, **MALFORMED[fault])) == "MALFORMED"


async def test_an_extension_that_is_not_critical_is_passed_over(stamps: Stamps) -> None:
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
async def test_a_time_that_is_none_is_malformed(stamps: Stamps, times: str) -> None:
    token = make_token(stamps.authority())
    said = f"{THEN:%Y%m%d%H%M%S}Z".encode()
    assert said in token
    encoded = times.encode()[: len(said)].ljust(len(said), b"0")
    assert await stamps.status(token.replace(said, encoded)) == "MALFORMED"


async def test_a_token_over_something_else_is_of_a_wrong_imprint(stamps: Stamps) -> None:
    token = make_token(stamps.authority())
    assert await stamps.status(token, b"another signature") == "WRONG_IMPRINT"
    asked = [
        pb.StampedData(token=token, digest=digest)
        for digest in (hashlib.sha256(DATA).digest(), hashlib.sha512(DATA).digest(), b"")
    ]
    found = [check.status for check in await stamps.checking.check(asked)]
    assert found == [
        pb.TIME_STAMP_STATUS_VALID,
        pb.TIME_STAMP_STATUS_WRONG_IMPRINT,
        pb.TIME_STAMP_STATUS_WRONG_IMPRINT,
    ]


async def test_an_imprint_by_a_weak_hash_shows_nothing(stamps: Stamps) -> None:
    token = make_token(stamps.authority(), imprint=SHA1)
    assert await stamps.status(token) == "WRONG_IMPRINT"
    given_ = pb.StampedData(token=token, digest=hashlib.sha1(DATA, usedforsecurity=False).digest())
    (check,) = await stamps.checking.check([given_])
    assert check.status == pb.TIME_STAMP_STATUS_WRONG_IMPRINT


@pytest.mark.parametrize(
    "fault",
    [
        {"message_digest": bytes(32)},
        {"digest": SHA1},
        {"algorithm": "1.2.840.10045.4.1"},
        {"algorithm": RSA},
        {"algorithm": "1.2.3.4"},
    ],
    ids=str,
)
async def test_a_signature_that_does_not_hold_is_invalid(
    stamps: Stamps, fault: dict[str, Any]
) -> None:
    assert await stamps.status(make_token(stamps.authority(), **fault)) == "INVALID_SIGNATURE"


async def test_another_time_under_the_same_signature_is_invalid(stamps: Stamps) -> None:
    token = make_token(stamps.authority())
    before = f"{THEN:%Y%m%d%H%M%S}Z".encode()
    after = f"{THEN - timedelta(days=1):%Y%m%d%H%M%S}Z".encode()
    assert await stamps.status(token.replace(before, after)) == "INVALID_SIGNATURE"


async def test_anothers_certificate_vouches_for_nothing(stamps: Stamps) -> None:
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


async def test_an_authority_of_nobody_trusted_is_not_trusted(stamps: Stamps) -> None:
    stranger = make(ROOT)
    token = make_token(stamps.authority(issuer=stranger))
    assert await stamps.status(token) == "UNTRUSTED"
    carried = make_token(make(stamper(), stranger), certificates=None)
    assert await stamps.status(carried) == "UNTRUSTED"
    alone = make(stamper())
    assert await stamps.status(make_token(alone)) == "UNTRUSTED"


async def test_a_time_to_come_is_not_trusted(stamps: Stamps) -> None:
    authority = stamps.authority()
    assert await stamps.status(make_token(authority, time=NOW + timedelta(minutes=1))) == "VALID"
    assert await stamps.status(make_token(authority, time=NOW + timedelta(hours=1))) == "UNTRUSTED"


# Revocation


async def test_an_authority_whose_revocation_cannot_be_found_out_is_unknown(stamps: Stamps) -> None:
    del stamps.world.network.lists[LIST]
    assert await stamps.status(make_token(stamps.authority())) == "UNKNOWN"
    assert await stamps.status(make_token(stamps.authority(lists=()))) == "UNKNOWN"


@pytest.mark.parametrize("reason", [x509.ReasonFlags.superseded, x509.ReasonFlags.key_compromise])
async def test_an_authority_revoked_since_counts_before_if_its_key_stayed_its_own(
    stamps: Stamps, reason: x509.ReasonFlags
) -> None:
    authority = stamps.authority()
    stamps.world.publishes((authority, THEN), reason=reason)
    before = await stamps.status(make_token(authority, time=THEN - timedelta(seconds=1)))
    superseded = reason is x509.ReasonFlags.superseded
    assert before == ("VALID" if superseded else "UNTRUSTED")
    assert await stamps.status(make_token(authority, time=THEN)) == "UNTRUSTED"


async def test_an_issuer_that_was_revoked_vouches_for_no_time(stamps: Stamps) -> None:
    between = make(replace(AUTHORITY, common_name="Between", lists=[LIST]), stamps.world.root)
    stamps.world.network.lists = {
        LIST: revocation_list(
            stamps.world.root, [(between, NOW)], reason=x509.ReasonFlags.superseded
        ),
        "http://between.example/list": revocation_list(between),
    }
    authority = stamps.authority(issuer=between, lists=["http://between.example/list"])
    token = make_token(authority, certificates=[between, authority])
    assert await stamps.status(token) == "UNTRUSTED"


async def test_many_tokens_of_one_authority_ask_about_it_once(stamps: Stamps) -> None:
    authority = stamps.authority()
    tokens = [make_token(authority, time=THEN + timedelta(minutes=n)) for n in range(20)]
    asked = [pb.StampedData(token=token, data=DATA) for token in tokens]
    asked[7].data = b"another"
    checks = await stamps.checking.check(asked)
    assert [check.status for check in checks] == [
        pb.TIME_STAMP_STATUS_WRONG_IMPRINT if index == 7 else pb.TIME_STAMP_STATUS_VALID
        for index in range(20)
    ]
    times = [from_timestamp(check.time) for check in checks if check.HasField("time")]
    assert times == [THEN + timedelta(minutes=n) for n in range(20) if n != 7]
    assert stamps.world.network.asked == [LIST]


async def test_who_does_not_answer_is_waited_for_once(
    stamps: Stamps, monkeypatch: pytest.MonkeyPatch
) -> None:
    from services.identity.validation import validator

    waits: list[float] = []
    wait = asyncio.wait

    async def counted(tasks: Any, *, timeout: float) -> Any:  # noqa: ASYNC109 - as asyncio's
        waits.append(timeout)
        return await wait(tasks, timeout=0)

    monkeypatch.setattr(validator.asyncio, "wait", counted)
    stamps.world.network.held = asyncio.Event()
    authority = stamps.authority()
    tokens = [make_token(authority, time=THEN + timedelta(minutes=n)) for n in range(20)]
    checks = await stamps.checking.check(
        [pb.StampedData(token=token, data=DATA) for token in tokens]
    )
    assert {check.status for check in checks} == {pb.TIME_STAMP_STATUS_UNKNOWN}
    assert len(waits) == 1
    stamps.world.network.held.set()


async def test_data_too_large_for_streebog_are_unknown_and_their_digest_is_taken(
    stamps: Stamps,
) -> None:
    data = bytes(STREEBOG_LIMIT_BYTES // 8)
    token = make_token(stamps.authority(), imprint=STREEBOG256, data=data)
    asked = [pb.StampedData(token=token, data=data) for _ in range(9)]
    checks = await stamps.checking.check(asked)
    assert [check.status for check in checks] == [pb.TIME_STAMP_STATUS_VALID] * 8 + [
        pb.TIME_STAMP_STATUS_UNKNOWN
    ]


# The own authority's


async def own_status(identity: Identity, token: bytes, data: bytes = DATA) -> str:
    answer = await identity.call(
        "CertificateService/VerifyTimeStamps",
        pb.VerifyTimeStampsRequest(time_stamps=[pb.StampedData(token=token, data=data)]),
        identity.as_citizen("subjects/x"),
    )
    (check,) = answer.checks
    return pb.TimeStampStatus.Name(check.status).removeprefix("TIME_STAMP_STATUS_")


async def test_the_own_authoritys_token_holds_with_and_without_certificates(
    identity: Identity,
) -> None:
    for wanted in (True, False):
        answer = await ask(identity, query(DATA, cert_req=wanted))
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
async def test_the_own_authority_revoked_counts_before_if_its_key_stayed_its_own(
    identity: Identity, reason: pb.RevocationReason, before: str
) -> None:
    first = await ask(identity, query(DATA))
    identity.clock.move(minutes=1)
    listed = await identity.call(
        "CertificateService/ListCertificates",
        pb.ListCertificatesRequest(subject=identity.platform),
        identity.as_operator,
    )
    (found,) = (one for one in listed.certificates if one.info.common_name.endswith("Stamping"))
    await identity.call(
        "CertificateService/RevokeCertificate",
        pb.RevokeCertificateRequest(name=found.name, reason=reason),
        identity.as_operator,
    )
    assert await own_status(identity, first) == before
    assert await own_status(identity, await ask(identity, query(DATA))) == "UNTRUSTED"


async def test_a_persons_certificate_stamps_no_time(identity: Identity) -> None:
    issued, key = await identity.issue(await identity.person())
    name = x509.load_der_x509_certificate(issued.der).subject
    token = make_token(Made(issued.der, key, name), time=identity.clock())
    assert await own_status(identity, token) == "UNTRUSTED"


async def test_an_expired_signer_is_good_at_the_stamped_time(identity: Identity) -> None:
    issued, _ = await identity.issue(await identity.person())
    answer = await ask(identity, query(DATA))
    identity.clock.move(days=400)
    asked = [pb.StampedData(token=answer, data=DATA)]
    stamps = await identity.call(
        "CertificateService/VerifyTimeStamps",
        pb.VerifyTimeStampsRequest(time_stamps=asked),
        identity.as_service,
    )
    for at, status in (
        (None, Status.CERTIFICATE_STATUS_EXPIRED),
        (stamps.checks[0].time, Status.CERTIFICATE_STATUS_GOOD),
    ):
        judged = await identity.call(
            "CertificateService/BatchCheckCertificates",
            pb.BatchCheckCertificatesRequest(certificates=[issued.der], at=at),
            identity.as_service,
        )
        assert judged.checks[0].status == status


async def test_a_request_that_says_nothing_to_compare_with_is_refused(identity: Identity) -> None:
    token = await ask(identity, query(DATA))
    for asked in ([pb.StampedData(token=token)], [pb.StampedData(data=b"x")] * 1_001):
        code = await identity.refused(
            "CertificateService/VerifyTimeStamps",
            pb.VerifyTimeStampsRequest(time_stamps=asked),
            identity.as_operator,
        )
        assert code.name == "INVALID_ARGUMENT"


# Hostile bytes


AUTHORITY_OF_ALL = make(stamper())
GOOD = make_token(AUTHORITY_OF_ALL, Token())


@given(st.binary(max_size=400))
def test_bytes_that_are_no_token_are_malformed_and_nothing_else(data: bytes) -> None:
    with pytest.raises(MalformedTimeStamp):
        read(data)


@settings(max_examples=500)
@given(st.data())
def test_a_token_with_other_bytes_in_it_never_says_another_time(data: st.DataObject) -> None:
    altered = bytearray(GOOD)
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(GOOD) - 1))
        altered[place] = data.draw(st.integers(0, 255))
    try:
        stamp = read(bytes(altered))
    except MalformedTimeStamp:
        return
    named, holds = stamp.names(AUTHORITY_OF_ALL.der), stamp.holds(AUTHORITY_OF_ALL.der)
    if named and holds and stamp.is_over(data=DATA):
        assert stamp.time == THEN and stamp.serial_number == 2**100 + 1


@given(st.integers(0, len(GOOD) - 1))
def test_no_truncation_is_a_token(length: int) -> None:
    with pytest.raises(MalformedTimeStamp):
        read(GOOD[:length])


@pytest.mark.parametrize(
    "data",
    [
        b"\x30\x80" * 30_000,
        b"\x30\x84\xff\xff\xff\xff",
        b"\xa0\x80" * 30_000,
        b"\x30\x82\xff\xfa" + b"\x06\x82\xff\xf6" + b"\xff" * 65_526,
    ],
    ids=["deep", "long", "deep tags", "a long name"],
)
def test_bytes_that_cost_much_are_malformed(data: bytes) -> None:
    with pytest.raises(MalformedTimeStamp):
        read(data)
