"""Time-stamp tokens: OpenSSL's are read, and hostile bytes raise nothing but MalformedTimeStamp."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from services.identity.x509.hash_oids import Hasher
from services.identity.x509.time_stamp_tokens import MalformedTimeStamp, read_token
from tests.openssl import openssl
from tests.unit.identity.chains import AUTHORITY, make
from tests.unit.identity.stamps import DATA, THEN, Token, make_token, stamper

SIGNER = make(stamper())


HASHER = Hasher()
GOOD = make_token(SIGNER, Token())


async def test_a_token_by_openssl_is_read(tmp_path: Path) -> None:
    issuer = make(AUTHORITY)
    authority = make(stamper(), issuer)
    files = {name: tmp_path / name for name in ("tsa.pem", "tsa.key", "ca.pem", "conf", "paper")}
    files["tsa.pem"].write_bytes(authority.pem)
    files["tsa.key"].write_bytes(
        authority.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    files["ca.pem"].write_bytes(issuer.pem)
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
    stamp = read_token(answer.read_bytes())
    assert stamp.is_over(HASHER, data=DATA) and not stamp.is_over(HASHER, data=b"another")
    assert stamp.names(authority.der, HASHER) and stamp.is_signed_by(authority.der, HASHER)
    assert stamp.policy == "1.2.3.4" and len(stamp.certificates) == 2


@given(st.binary(max_size=400))
def test_bytes_that_are_not_a_token_raise_malformed_time_stamp_only(data: bytes) -> None:
    with pytest.raises(MalformedTimeStamp):
        read_token(data)


@settings(max_examples=500)
@given(st.data())
def test_an_altered_token_never_says_another_time(data: st.DataObject) -> None:
    altered = bytearray(GOOD)
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(GOOD) - 1))
        altered[place] = data.draw(st.integers(0, 255))
    try:
        stamp = read_token(bytes(altered))
    except MalformedTimeStamp:
        return
    named, is_signed = stamp.names(SIGNER.der, HASHER), stamp.is_signed_by(SIGNER.der, HASHER)
    if named and is_signed and stamp.is_over(HASHER, data=DATA):
        assert stamp.time == THEN and stamp.serial_number == 2**100 + 1


@given(st.integers(0, len(GOOD) - 1))
def test_no_truncation_is_a_token(length: int) -> None:
    with pytest.raises(MalformedTimeStamp):
        read_token(GOOD[:length])


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
def test_bytes_that_would_cost_much_are_malformed(data: bytes) -> None:
    with pytest.raises(MalformedTimeStamp):
        read_token(data)
