"""The own time-stamping authority, and OpenSSL as its judge."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
from asn1crypto import core, tsp
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from google.api.httpbody_pb2 import HttpBody
from hypothesis import given
from hypothesis import strategies as st

from qagazsyz.identity.v1 import certificates_pb2 as pb
from services.identity.authority.tsa import REQUEST_LIMIT_BYTES, Refusal, read
from services.identity.seed import load_issuer, load_stamper
from services.runtime.clock import system_randomness
from signatures.der import encode_oid
from tests.openssl import openssl
from tests.unit.identity.conftest import STAMP_POLICY, Identity

DATA = "Қағаз жоқ".encode()


async def ask(identity: Identity, request: bytes) -> bytes:
    """The authority's answer, DER."""
    answer = await identity.call(
        "AuthorityService/AnswerTimeStamp", pb.AnswerTimeStampRequest(body=HttpBody(data=request))
    )
    assert answer.content_type == "application/timestamp-reply"
    data: bytes = answer.data
    return data


def query(
    data: bytes = DATA, *, algorithm: str = "sha256", digest: bytes | None = None, **fields: Any
) -> bytes:
    """A TimeStampReq, DER."""
    imprint = {
        "hash_algorithm": {"algorithm": algorithm},
        "hashed_message": hashlib.sha256(data).digest() if digest is None else digest,
    }
    asked = {"version": "v1", "message_imprint": imprint, "cert_req": True} | fields
    encoded: bytes = tsp.TimeStampReq(asked).dump()
    return encoded


def status_of(answer: bytes) -> tuple[str, set[str]]:
    """The status, and the reasons of a refusal; one that refuses has no token."""
    parts = core.Sequence.load(answer, strict=True)
    status = tsp.PKIStatusInfo.load(parts[0].dump(), strict=True)
    failures = status["fail_info"].native or set()
    assert (len(parts) == 1) == bool(failures)
    return status["status"].native, set(failures)


def info_of(answer: bytes) -> Any:
    """The TSTInfo of an answer with a token."""
    token = tsp.TimeStampResp.load(answer, strict=True)["time_stamp_token"]
    return token["content"]["encap_content_info"]["content"].parsed


@pytest.mark.parametrize("algorithm", ["sha256", "sha384", "sha512"])
async def test_openssl_takes_what_it_asked_for(
    identity: Identity, tmp_path: Path, algorithm: str
) -> None:
    data, asked, given_ = (tmp_path / name for name in ("paper", "query.tsq", "reply.tsr"))
    data.write_bytes(DATA)
    await openssl(
        "ts", "-query", "-data", data, f"-{algorithm}", "-cert", "-tspolicy", STAMP_POLICY,
        "-out", asked,
    )  # fmt: skip
    given_.write_bytes(await ask(identity, asked.read_bytes()))
    root = identity.data / "identity" / "root.pem"
    for over in (("-queryfile", asked), ("-data", data)):
        verified = await openssl("ts", "-verify", *over, "-in", given_, "-CAfile", root)
        assert verified.returncode == 0 and "Verification: OK" in verified.stdout, verified.stderr
    text = await openssl("ts", "-reply", "-in", given_, "-text")
    assert "Status: Granted." in text.stdout and "Accuracy: 0x01 seconds" in text.stdout
    assert f"Policy OID: {STAMP_POLICY}" in text.stdout


async def test_openssl_takes_a_token_without_certificates_that_it_has_itself(
    identity: Identity, tmp_path: Path
) -> None:
    data, asked, given_ = (tmp_path / name for name in ("paper", "query.tsq", "reply.tsr"))
    data.write_bytes(DATA)
    await openssl("ts", "-query", "-data", data, "-sha256", "-no_nonce", "-out", asked)
    answer = await ask(identity, asked.read_bytes())
    given_.write_bytes(answer)
    folder = identity.data / "identity"
    untrusted = tmp_path / "untrusted.pem"
    certificates = (folder / "time-stamping.pem", folder / "authority.pem")
    untrusted.write_bytes(b"".join(path.read_bytes() for path in certificates))
    verified = await openssl(
        "ts", "-verify", "-queryfile", asked, "-in", given_, "-CAfile", folder / "root.pem",
        "-untrusted", untrusted,
    )  # fmt: skip
    assert verified.returncode == 0, verified.stderr
    token = tsp.TimeStampResp.load(answer)["time_stamp_token"]
    assert token["content"]["certificates"].native is None, "it was not asked for"


async def test_openssl_finds_the_certificate_fit_for_stamping(
    identity: Identity, tmp_path: Path
) -> None:
    folder = identity.data / "identity"
    verified = await openssl(
        "verify", "-x509_strict", "-purpose", "timestampsign", "-CAfile", folder / "root.pem",
        "-untrusted", folder / "authority.pem", folder / "time-stamping.pem",
    )  # fmt: skip
    assert verified.returncode == 0, verified.stderr
    certificate = x509.load_pem_x509_certificate((folder / "time-stamping.pem").read_bytes())
    purposes = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    assert purposes.critical and [one.dotted_string for one in purposes.value] == [
        "1.3.6.1.5.5.7.3.8"
    ]
    authority = load_issuer(folder, "authority").certificate
    assert certificate.not_valid_after_utc == authority.not_valid_after_utc


async def test_a_token_says_what_was_asked_and_when(identity: Identity) -> None:
    nonce = -(2**70) + 5
    first, second = [info_of(await ask(identity, query(nonce=nonce))) for _ in range(2)]
    assert first["gen_time"].native == identity.clock()
    assert first["nonce"].native == nonce
    assert first["policy"].dotted == STAMP_POLICY
    assert first["message_imprint"]["hashed_message"].native == hashlib.sha256(DATA).digest()
    numbers = {first["serial_number"].native, second["serial_number"].native}
    assert len(numbers) == 2 and all(0 < number < 2**127 for number in numbers)
    assert max(numbers) > 2**64, "random, 127 bits"
    assert info_of(await ask(identity, query()))["nonce"].native is None


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (query(algorithm="sha1", digest=bytes(20)), "bad_alg"),
        (query(algorithm="md5", digest=bytes(16)), "bad_alg"),
        (query(algorithm="sha224", digest=bytes(28)), "bad_alg"),
        (query(algorithm="1.2.3.4", digest=bytes(32)), "bad_alg"),
        (query(digest=bytes(31)), "bad_data_format"),
        (query(digest=b""), "bad_data_format"),
        (query(version="v2"), "bad_request"),
        (query(req_policy="1.2.3.4"), "unaccepted_policy"),
        (
            query(extensions=[{"extn_id": "1.2.3.4", "critical": False, "extn_value": b""}]),
            "unaccepted_extensions",
        ),
        (b"", "bad_data_format"),
        (query() + b"\0", "bad_data_format"),
        (query(nonce=1 << REQUEST_LIMIT_BYTES * 8), "bad_data_format"),
    ],
)  # fmt: skip
async def test_what_is_not_stamped_is_refused_with_its_reason(
    identity: Identity, request_: bytes, reason: str
) -> None:
    assert status_of(await ask(identity, request_)) == ("rejection", {reason})


@pytest.mark.parametrize(
    "oid",
    ["1.2.398.3.10.1.3.2", "1.2.398.3.10.1.3.3", "1.2.643.7.1.1.2.2", "1.2.643.7.1.1.2.3"],
)
async def test_streebog_is_stamped_under_both_names(identity: Identity, oid: str) -> None:
    size = 32 if oid.endswith("2") else 64
    answer = await ask(identity, query(algorithm=oid, digest=bytes(size)))
    assert status_of(answer) == ("granted", set())
    assert encode_oid(oid) in answer


async def test_a_policy_that_is_asked_for_by_its_name_is_taken(identity: Identity) -> None:
    assert status_of(await ask(identity, query(req_policy=STAMP_POLICY)))[0] == "granted"


@pytest.mark.parametrize("days", [-1, 365 * 11])
async def test_there_is_no_time_outside_of_the_certificates(identity: Identity, days: int) -> None:
    identity.clock.move(days=days)
    assert status_of(await ask(identity, query())) == ("rejection", {"time_not_available"})


async def test_the_key_signs_nobody_in(identity: Identity) -> None:
    folder = identity.data / "identity"
    own = load_issuer(folder, "time-stamping")
    request = await identity.exchange(own.certificate.public_bytes(Encoding.DER), own.key)
    code = await identity.refused("TokenService/ExchangeToken", request)
    assert code.name == "UNAUTHENTICATED"


async def test_the_operator_finds_and_revokes_the_certificate(identity: Identity) -> None:
    listed = await identity.call(
        "CertificateService/ListCertificates",
        pb.ListCertificatesRequest(subject=identity.platform),
        identity.as_operator,
    )
    (found,) = (one for one in listed.certificates if "1.3.6.1.5.5.7.3.8" in one.info.purposes)
    await identity.call(
        "CertificateService/RevokeCertificate",
        pb.RevokeCertificateRequest(name=found.name, reason=pb.REVOCATION_REASON_KEY_COMPROMISE),
        identity.as_operator,
    )
    answer = await identity.call(
        "AuthorityService/GetRevocationList", pb.GetRevocationListRequest()
    )
    published = x509.load_der_x509_crl(answer.data)
    assert [f"{entry.serial_number:x}" for entry in published] == [found.serial_number]


async def test_the_key_is_kept_from_others_and_made_anew_where_it_was_taken_away(
    identity: Identity,
) -> None:
    folder = identity.data / "identity"
    issuer = load_issuer(folder, "authority")
    paths = [folder / f"time-stamping.{suffix}" for suffix in ("key", "pem")]
    assert {path.stat().st_mode & 0o777 for path in paths} == {0o600}

    def load() -> x509.Certificate:
        now = identity.clock()
        return load_stamper(folder, issuer, now=now, randomness=system_randomness).certificate

    first = load()
    assert load() == first
    paths[0].unlink()
    second = load()
    assert second != first and load() == second
    assert {path.stat().st_mode & 0o777 for path in paths} == {0o600}
    paths[0].chmod(0o640)
    with pytest.raises(RuntimeError, match="readable by others"):
        load()


async def test_no_truncation_of_a_request_breaks_the_authority(identity: Identity) -> None:
    whole = query(nonce=2**64, req_policy=STAMP_POLICY)
    for length in range(len(whole)):
        assert status_of(await ask(identity, whole[:length])) == ("rejection", {"bad_data_format"})


@given(st.binary(max_size=200))
def test_bytes_that_are_no_request_are_refused_and_nothing_else(data: bytes) -> None:
    with pytest.raises(Refusal):
        read(data, STAMP_POLICY)


@given(st.integers(0, len(query()) - 1), st.integers(1, 255))
def test_a_request_with_another_byte_is_read_or_refused(place: int, change: int) -> None:
    altered = bytearray(query())
    altered[place] ^= change
    try:
        assert read(bytes(altered), STAMP_POLICY).imprint
    except Refusal as refusal:
        assert str(refusal)
