"""The own time-stamping authority, and OpenSSL as its judge."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
from asn1crypto import core, tsp
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from qagazsyz.identity.v1 import certificates_pb2 as pb
from services.identity.authority.key_files import TIME_STAMPING, load_authority
from services.identity.authority.tsa import REQUEST_LIMIT_BYTES, Refusal, read_request
from signatures import oids
from signatures.der import encode_oid
from tests.openssl import openssl
from tests.unit.identity.service import STAMP_POLICY, Identity
from tests.unit.identity.stamps import make_query

DATA = "Қағаз жоқ".encode()


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
async def test_openssl_accepts_the_answer_to_its_request(
    identity: Identity, tmp_path: Path, algorithm: str
) -> None:
    data, asked, given_ = (tmp_path / name for name in ("paper", "query.tsq", "reply.tsr"))
    data.write_bytes(DATA)
    await openssl(
        "ts", "-query", "-data", data, f"-{algorithm}", "-cert", "-tspolicy", STAMP_POLICY,
        "-out", asked,
    )  # fmt: skip
    given_.write_bytes(await identity.time_stamp(asked.read_bytes()))
    root = identity.folder / "root.pem"
    for over in (("-queryfile", asked), ("-data", data)):
        verified = await openssl("ts", "-verify", *over, "-in", given_, "-CAfile", root)
        assert verified.returncode == 0 and "Verification: OK" in verified.stdout, verified.stderr
    text = await openssl("ts", "-reply", "-in", given_, "-text")
    assert "Status: Granted." in text.stdout and "Accuracy: 0x01 seconds" in text.stdout
    assert f"Policy OID: {STAMP_POLICY}" in text.stdout


async def test_openssl_accepts_a_token_without_certificates_if_it_has_them(
    identity: Identity, tmp_path: Path
) -> None:
    data, asked, given_ = (tmp_path / name for name in ("paper", "query.tsq", "reply.tsr"))
    data.write_bytes(DATA)
    await openssl("ts", "-query", "-data", data, "-sha256", "-no_nonce", "-out", asked)
    answer = await identity.time_stamp(asked.read_bytes())
    given_.write_bytes(answer)
    folder = identity.folder
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


async def test_a_token_says_what_was_stamped_and_when(identity: Identity) -> None:
    nonce = -(2**70) + 5
    first, second = [
        info_of(await identity.time_stamp(make_query(DATA, nonce=nonce))) for _ in range(2)
    ]
    assert first["gen_time"].native == identity.clock()
    assert first["nonce"].native == nonce
    assert first["policy"].dotted == STAMP_POLICY
    assert first["message_imprint"]["hashed_message"].native == hashlib.sha256(DATA).digest()
    numbers = {first["serial_number"].native, second["serial_number"].native}
    assert len(numbers) == 2 and all(0 < number < 2**127 for number in numbers)
    assert max(numbers) > 2**64, "random, 127 bits"
    assert info_of(await identity.time_stamp(make_query(DATA)))["nonce"].native is None


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (make_query(DATA, algorithm="sha1", digest=bytes(20)), "bad_alg"),
        (make_query(DATA, algorithm="md5", digest=bytes(16)), "bad_alg"),
        (make_query(DATA, algorithm="sha224", digest=bytes(28)), "bad_alg"),
        (make_query(DATA, algorithm="1.2.3.4", digest=bytes(32)), "bad_alg"),
        (make_query(DATA, digest=bytes(31)), "bad_data_format"),
        (make_query(DATA, digest=b""), "bad_data_format"),
        (make_query(DATA, version="v2"), "bad_request"),
        (make_query(DATA, req_policy="1.2.3.4"), "unaccepted_policy"),
        (
            make_query(
                DATA,
                extensions=[{"extn_id": "1.2.3.4", "critical": False, "extn_value": b""}],
            ),
            "unaccepted_extensions",
        ),
        (b"", "bad_data_format"),
        (make_query(DATA) + b"\0", "bad_data_format"),
        (make_query(DATA, nonce=1 << REQUEST_LIMIT_BYTES * 8), "bad_data_format"),
    ],
)  # fmt: skip
async def test_a_request_that_is_not_stamped_is_refused_with_its_reason(
    identity: Identity, request_: bytes, reason: str
) -> None:
    assert status_of(await identity.time_stamp(request_)) == ("rejection", {reason})


@pytest.mark.parametrize(
    "oid",
    [oids.KZ_STREEBOG256, oids.KZ_STREEBOG512, oids.TC26_STREEBOG256, oids.TC26_STREEBOG512],
)
async def test_streebog_is_stamped_under_both_names(identity: Identity, oid: str) -> None:
    size = 32 if oid.endswith("2") else 64
    answer = await identity.time_stamp(make_query(DATA, algorithm=oid, digest=bytes(size)))
    assert status_of(answer) == ("granted", set())
    assert encode_oid(oid) in answer


async def test_the_own_policy_may_be_asked_for(identity: Identity) -> None:
    assert (
        status_of(await identity.time_stamp(make_query(DATA, req_policy=STAMP_POLICY)))[0]
        == "granted"
    )


@pytest.mark.parametrize("days", [-1, 365 * 11])
async def test_nothing_is_stamped_outside_of_the_certificates_validity(
    identity: Identity, days: int
) -> None:
    identity.clock.move(days=days)
    assert status_of(await identity.time_stamp(make_query(DATA))) == (
        "rejection",
        {"time_not_available"},
    )


async def test_the_time_stamping_key_does_not_sign_in(identity: Identity) -> None:
    folder = identity.folder
    own = load_authority(folder, TIME_STAMPING)
    request = await identity.exchange(own.certificate.public_bytes(Encoding.DER), own.key)
    code = await identity.refused("TokenService/ExchangeToken", request)
    assert code.name == "UNAUTHENTICATED"


async def test_the_operator_finds_and_revokes_the_certificate(identity: Identity) -> None:
    certificates = await identity.certificates(identity.platform)
    (found,) = (one for one in certificates if "1.3.6.1.5.5.7.3.8" in one.info.purposes)
    await identity.revoke(found.name, identity.as_operator, pb.REVOCATION_REASON_KEY_COMPROMISE)
    answer = await identity.call(
        "AuthorityService/GetRevocationList", pb.GetRevocationListRequest()
    )
    published = x509.load_der_x509_crl(answer.data)
    assert [f"{entry.serial_number:x}" for entry in published] == [found.serial_number]


async def test_no_truncation_of_a_request_breaks_the_authority(identity: Identity) -> None:
    whole = make_query(DATA, nonce=2**64, req_policy=STAMP_POLICY)
    for length in range(len(whole)):
        assert status_of(await identity.time_stamp(whole[:length])) == (
            "rejection",
            {"bad_data_format"},
        )


@given(st.binary(max_size=200))
def test_bytes_that_are_not_a_request_are_refused_and_raise_nothing_else(data: bytes) -> None:
    with pytest.raises(Refusal):
        read_request(data, STAMP_POLICY)


@given(st.integers(0, len(make_query(DATA)) - 1), st.integers(1, 255))
def test_a_request_with_another_byte_is_read_or_refused(place: int, change: int) -> None:
    altered = bytearray(make_query(DATA))
    altered[place] ^= change
    try:
        assert read_request(bytes(altered), STAMP_POLICY).imprint
    except Refusal as refusal:
        assert str(refusal)
