"""ECDSA in the portable backend, by FIPS 186-3's vectors: both encodings, strict DER, points."""

from __future__ import annotations

import pytest

from signatures.algorithms import Algorithm, Hash, Verdict
from signatures.der import INTEGER, SEQUENCE, encode, encode_unsigned
from signatures.keys import EllipticKey, MalformedKey, load_public_key
from signatures.portable import verify
from tests.unit.signatures.builders import dss, ec_spki, nist_records

ALGORITHMS = {
    (256, "SHA-256"): (Algorithm.ECDSA_P256_SHA256, Algorithm.ECDSA_P256_SHA256_P1363),
    (384, "SHA-384"): (Algorithm.ECDSA_P384_SHA384, Algorithm.ECDSA_P384_SHA384_P1363),
    (521, "SHA-512"): (Algorithm.ECDSA_P521_SHA512, Algorithm.ECDSA_P521_SHA512_P1363),
}
Vector = tuple[bytes, bytes, int, int, bool]


def vectors(bits: int, digest: str) -> list[Vector]:
    """Key (DER), message, r, s and whether it holds: FIPS 186-3's SigVer file."""
    width = (bits + 7) // 8
    found = []
    for section, record in nist_records("asymmetric/ECDSA/FIPS_186-3/SigVer.rsp", "Result"):
        if section == f"P-{bits},{digest}":
            x, y, r, s = (int(record[name], 16) for name in ("Qx", "Qy", "R", "S"))
            if max(x, y) >> 8 * width:
                continue
            point = b"\4" + x.to_bytes(width, "big") + y.to_bytes(width, "big")
            holds = record["Result"].startswith("P")
            found.append((ec_spki(bits, point), bytes.fromhex(record["Msg"]), r, s, holds))
    return found


@pytest.mark.parametrize(("bits", "digest"), list(ALGORITHMS))
def test_published_signatures_get_their_answers_in_both_encodings(bits: int, digest: str) -> None:
    der, p1363 = ALGORITHMS[bits, digest]
    width = (bits + 7) // 8
    seen = set()
    for spki, message, r, s, holds in vectors(bits, digest):
        try:
            key = load_public_key(spki)
        except MalformedKey:
            assert not holds
            continue
        plain = r.to_bytes(width, "big") + s.to_bytes(width, "big")
        verdicts = {
            verify(key, der, message=message, signature=dss(r, s)),
            verify(key, p1363, message=message, signature=plain),
        }
        assert verdicts == {Verdict.VALID if holds else Verdict.INVALID_SIGNATURE}
        seen.add(holds)

    assert seen == {True, False}


def good(bits: int, digest: str) -> tuple[EllipticKey, bytes, int, int]:
    spki, message, r, s, _ = next(vector for vector in vectors(bits, digest) if vector[-1])
    key = load_public_key(spki)
    assert isinstance(key, EllipticKey)
    return key, message, r, s


@pytest.mark.parametrize(("bits", "digest"), list(ALGORITHMS))
def test_high_s_is_taken_and_numbers_out_of_range_are_malformed(bits: int, digest: str) -> None:
    der, p1363 = ALGORITHMS[bits, digest]
    key, message, r, s = good(bits, digest)
    n, width = key.order, key.coordinate_length

    assert verify(key, der, message=message, signature=dss(r, n - s)) is Verdict.VALID
    for bad_r, bad_s in ((0, s), (r, 0), (n, s), (r, n), (r + n, s), (n - 1 + 1, 1)):
        assert (
            verify(key, der, message=message, signature=dss(bad_r, bad_s))
            is Verdict.MALFORMED_SIGNATURE
        )
        if max(bad_r, bad_s) >> 8 * width == 0:
            plain = bad_r.to_bytes(width, "big") + bad_s.to_bytes(width, "big")
            assert (
                verify(key, p1363, message=message, signature=plain) is Verdict.MALFORMED_SIGNATURE
            )
    assert (
        verify(key, der, message=message, signature=dss(n - 1, n - 1)) is Verdict.INVALID_SIGNATURE
    )


def test_der_is_strict() -> None:
    key, message, r, s = good(256, "SHA-256")
    body = encode_unsigned(r) + encode_unsigned(s)
    r_content = encode_unsigned(r)[2:]
    strict = dss(r, s)
    spoiled = [
        b"",
        strict[:-1],
        strict + b"\0",
        encode(SEQUENCE, body + b"\5\0"),
        encode(SEQUENCE, encode(INTEGER, b"\0\0" + r_content) + encode_unsigned(s)),
        encode(SEQUENCE, encode(INTEGER, b"") + encode_unsigned(s)),
        encode(SEQUENCE, encode(INTEGER, b"\xff") + encode_unsigned(s)),
        b"\x30\x81" + bytes([len(body)]) + body,
        b"\x30\x80" + body + b"\0\0",
        encode(0x31, body),
        encode(SEQUENCE, encode_unsigned(r)),
    ]

    verdicts = {
        verify(key, Algorithm.ECDSA_P256_SHA256, message=message, signature=signature)
        for signature in spoiled
    }

    assert verify(key, Algorithm.ECDSA_P256_SHA256, message=message, signature=strict) == 1
    assert verdicts == {Verdict.MALFORMED_SIGNATURE}


@pytest.mark.parametrize("length", [0, 63, 65, 66])
def test_p1363_is_exactly_two_coordinates_long(length: int) -> None:
    key, message, r, s = good(256, "SHA-256")
    plain = r.to_bytes(32, "big") + s.to_bytes(32, "big")

    verdict = verify(
        key,
        Algorithm.ECDSA_P256_SHA256_P1363,
        message=message,
        signature=(plain + b"\0\0")[:length],
    )

    assert verdict is Verdict.MALFORMED_SIGNATURE


def test_a_digest_stands_for_its_message_and_has_to_be_of_the_hash_s_length() -> None:
    import hashlib

    key, message, r, s = good(384, "SHA-384")
    algorithm, signature = Algorithm.ECDSA_P384_SHA384, dss(r, s)
    digest = hashlib.sha384(message).digest()

    assert verify(key, algorithm, digest=digest, signature=signature) is Verdict.VALID
    assert (
        verify(key, algorithm, digest=bytes(48), signature=signature) is Verdict.INVALID_SIGNATURE
    )
    for wrong in (b"", digest[:-1], digest + b"\0", bytes(32)):
        assert verify(key, algorithm, digest=wrong, signature=signature) is Verdict.MALFORMED_DIGEST
    assert verify(key, algorithm, signature=signature) is Verdict.MALFORMED_DIGEST
    assert Hash.SHA384.digest_length == 48


def test_compressed_points_are_keys_and_hybrid_ones_and_infinity_are_not() -> None:
    spki, message, r, s, _ = next(vector for vector in vectors(256, "SHA-256") if vector[-1])
    x, y = spki[-64:-32], spki[-32:]
    parity = y[-1] & 1
    compressed = load_public_key(ec_spki(256, bytes([2 + parity]) + x))

    assert (
        verify(compressed, Algorithm.ECDSA_P256_SHA256, message=message, signature=dss(r, s))
        is Verdict.VALID
    )
    for point in (
        b"",
        b"\0",
        bytes([6 + parity]) + x + y,
        b"\4" + x,
        b"\4" + x + y + b"\0",
        b"\2" + x + b"\0",
        b"\4" + x + bytes([y[0] ^ 1]) + y[1:],
        b"\4" + (2**256 - 2**224 + 2**192 + 2**96).to_bytes(32, "big") + y,
    ):
        with pytest.raises(MalformedKey):
            load_public_key(ec_spki(256, point))


def test_points_that_are_published_as_bad_are_no_keys() -> None:
    seen = []
    for section, record in nist_records("asymmetric/ECDSA/FIPS_186-3/PKV.rsp", "Result"):
        bits = {"P-256": 256, "P-384": 384, "P-521": 521}.get(section)
        if bits is None:
            continue
        width = (bits + 7) // 8
        x, y = int(record["Qx"], 16), int(record["Qy"], 16)
        if max(x, y) >> 8 * width:
            continue
        spki = ec_spki(bits, b"\4" + x.to_bytes(width, "big") + y.to_bytes(width, "big"))
        if record["Result"].startswith("P"):
            load_public_key(spki)
        else:
            with pytest.raises(MalformedKey):
                load_public_key(spki)
        seen.append(bits)

    assert set(seen) == {256, 384, 521}
