"""Keys and certificates are parsed strictly, and each key once."""

from __future__ import annotations

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from signatures.der import (
    BIT_STRING,
    INTEGER,
    SEQUENCE,
    Reader,
    encode,
    encode_oid,
)
from signatures.keys import (
    KEY_CACHE_SIZE,
    Ed25519Key,
    MalformedKey,
    UnsupportedKey,
    certificate_spki,
    load_public_key,
)
from tests.unit.signatures.builders import VECTORS, ed25519_spki, shared_certificate, spki

# The key of RFC 8032, section 7.1, test 1.
POINT = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
GOOD = ed25519_spki(POINT)


def test_a_key_is_read() -> None:
    assert load_public_key(GOOD) == Ed25519Key(POINT)


@pytest.mark.parametrize(
    "der",
    [
        b"",
        b"\x30",
        GOOD[:-1],
        GOOD + b"\0",
        b"\x31" + GOOD[1:],
        b"\x30\x81\x2a" + GOOD[2:],
        b"\x30\x80" + GOOD[2:] + b"\0\0",
        # One more value after the key, inside the SEQUENCE.
        encode(SEQUENCE, GOOD[2:] + b"\5\0"),
        # An algorithm that is no OID, an empty one, one that does not end, one with a leading 0x80.
        encode(SEQUENCE, encode(SEQUENCE, b"\5\0") + encode(BIT_STRING, b"\0" + POINT)),
        encode(SEQUENCE, encode(SEQUENCE, b"\6\0") + encode(BIT_STRING, b"\0" + POINT)),
        encode(SEQUENCE, encode(SEQUENCE, b"\6\2\x2b\x80") + encode(BIT_STRING, b"\0" + POINT)),
        encode(SEQUENCE, encode(SEQUENCE, b"\6\3\x2b\x80\1") + encode(BIT_STRING, b"\0" + POINT)),
        # Bits that are not used, none at all, and another type.
        encode(SEQUENCE, encode(SEQUENCE, encode_oid("1.3.101.112")) + b"\3\0"),
        encode(
            SEQUENCE,
            encode(SEQUENCE, encode_oid("1.3.101.112")) + encode(BIT_STRING, b"\1" + POINT),
        ),
        encode(SEQUENCE, encode(SEQUENCE, encode_oid("1.3.101.112")) + encode(4, b"\0" + POINT)),
        # Parameters where there are none.
        spki("1.3.101.112", b"\5\0", POINT),
        spki("1.3.101.112", b"", POINT[1:]),
    ],
)
def test_what_is_no_strict_der_is_malformed(der: bytes) -> None:
    with pytest.raises(MalformedKey):
        load_public_key(der)


@pytest.mark.parametrize(
    "der",
    [
        spki("1.3.101.113", b"", bytes(57)),  # Ed448
        spki("1.2.840.10045.2.1", encode_oid("1.3.132.0.10"), bytes(65)),  # secp256k1
        spki("1.2.840.113549.1.1.10", b"", b""),  # RSASSA-PSS
        spki("1.2.398.3.10.1.1.1.1", b"", b""),  # GOST 34.310-2004
    ],
)
def test_a_key_of_another_algorithm_or_curve_is_unsupported(der: bytes) -> None:
    with pytest.raises(UnsupportedKey):
        load_public_key(der)


def test_a_frame_that_is_no_der_is_malformed_whatever_its_algorithm() -> None:
    with pytest.raises(MalformedKey):
        load_public_key(spki("1.3.101.113", b"", bytes(57)) + b"\0")


@pytest.mark.parametrize("parameters", [b"", b"\5\0", encode(SEQUENCE, b"\2\1\1"), b"\6\1\x2a\0"])
def test_a_curve_is_named_by_one_oid(parameters: bytes) -> None:
    with pytest.raises(MalformedKey):
        load_public_key(spki("1.2.840.10045.2.1", parameters, bytes(65)))


def test_published_bad_encodings_are_malformed() -> None:
    for name in ("Ed25519/ed25519-pub-non-zero-unused-bits.der",):
        with pytest.raises(MalformedKey):
            load_public_key((VECTORS / "asymmetric" / name).read_bytes())


def ml_dsa_spki(number: int) -> bytes:
    """A key that is cheap to parse: any 1,312 bytes are one."""
    return spki("2.16.840.1.101.3.4.3.17", b"", number.to_bytes(4, "big") + bytes(1308))


def test_a_key_is_parsed_once() -> None:
    assert load_public_key(GOOD) is load_public_key(bytes(bytearray(GOOD)))


def test_the_least_recently_used_key_is_parsed_again_once_the_cache_is_full() -> None:
    used, unused = load_public_key(GOOD), load_public_key(ml_dsa_spki(0))
    for number in range(1, KEY_CACHE_SIZE):
        load_public_key(ml_dsa_spki(number))
        assert load_public_key(GOOD) is used
    assert load_public_key(ml_dsa_spki(0)) is not unused


def test_the_key_of_a_certificate_is_where_other_readers_find_it() -> None:
    seen = 0
    for path in sorted((VECTORS / "x509").glob("*.pem")):
        try:
            certificate = x509.load_pem_x509_certificate(path.read_bytes())
            expected = certificate.public_key().public_bytes(
                Encoding.DER, PublicFormat.SubjectPublicKeyInfo
            )
        except Exception:  # noqa: S112 (files that the other reader refuses)
            continue
        try:
            found = certificate_spki(certificate.public_bytes(Encoding.DER))
        except MalformedKey:
            continue
        if found == expected:
            seen += 1
        else:
            # A key under another name of the same algorithm (RSASSA-PSS).
            assert b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a" in found[:40]

    assert seen >= 15


def certificate_parts() -> tuple[list[bytes], bytes]:
    """The values of a good certificate's TBS, and what follows the TBS."""
    pem = (VECTORS / "x509/cryptography.io.pem").read_bytes()
    outer = Reader(x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER)).sequence()
    tbs, values = outer.sequence(), []
    while not tbs.at_end():
        values.append(tbs.any()[2])
    return values, outer.rest()


def assemble(values: list[bytes], rest: bytes) -> bytes:
    return encode(SEQUENCE, encode(SEQUENCE, b"".join(values)) + rest)


def test_a_certificate_without_version_and_extensions_is_read() -> None:
    values, rest = certificate_parts()

    assert certificate_spki(assemble(values[1:7], rest)) == values[6]


def test_a_frame_that_no_certificate_has_is_malformed() -> None:
    values, rest = certificate_parts()
    good = assemble(values, rest)
    assert certificate_spki(good) == values[6]
    spoiled = [
        b"",
        good[:-1],
        good + b"\0",
        assemble(values, rest + b"\5\0"),
        assemble(values, b""),
        assemble(values[:6], rest),
        assemble([*values, values[-1]], rest),
        assemble([*values, encode(0x82, b"\0")], rest),
        assemble([*values[:7], encode(INTEGER, b"\1")], rest),
        assemble([*values[:6], encode(0x31, b"")], rest),
        assemble([values[0], *values], rest),
    ]
    for der in spoiled:
        with pytest.raises(MalformedKey):
            certificate_spki(der)


def test_nca_s_certificates_are_read() -> None:
    for name in (
        "root_test_gost_2022.cer",
        "nca_rsa_test.crt",
        "individual_valid_sign_2004_rsa.cer",
    ):
        load_public_key(certificate_spki(shared_certificate(name)))


def test_nca_s_older_gost_is_unsupported() -> None:
    for name in ("nca_gost_test.crt", "ceo_valid_sign_2004_gost.cer"):
        with pytest.raises(UnsupportedKey):
            load_public_key(certificate_spki(shared_certificate(name)))
