"""RSA in the portable backend, by FIPS 186-2's vectors: both paddings, the bounds of its keys."""

from __future__ import annotations

import hashlib
from functools import cache
from math import gcd

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from signatures.algorithms import Algorithm, Verdict
from signatures.keys import MalformedKey, RsaKey, load_public_key
from signatures.portable import verify
from tests.unit.signatures.builders import nist_records, rsa_spki

PKCS1 = {
    "SHA256": Algorithm.RSA_PKCS1_SHA256,
    "SHA384": Algorithm.RSA_PKCS1_SHA384,
    "SHA512": Algorithm.RSA_PKCS1_SHA512,
}
PSS = [
    (Algorithm.RSA_PSS_SHA256, hashes.SHA256()),
    (Algorithm.RSA_PSS_SHA384, hashes.SHA384()),
    (Algorithm.RSA_PSS_SHA512, hashes.SHA512()),
]
MESSAGE = b"A certificate of an address"


@cache
def _generated(bits: int, exponent: int) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(exponent, bits)


def private_key(bits: int = 2048) -> rsa.RSAPrivateKey:
    return _generated(bits, 65537)


def public_key(bits: int = 2048) -> RsaKey:
    numbers = private_key(bits).public_key().public_numbers()
    key = load_public_key(rsa_spki(numbers.n, numbers.e))
    assert isinstance(key, RsaKey)
    return key


def test_published_pkcs1_signatures_get_their_answers() -> None:
    seen: dict[tuple[str, str, bool], int] = {}
    for section, record in nist_records("asymmetric/RSA/FIPS_186-2/SigVer15_186-3.rsp", "Result"):
        algorithm = PKCS1.get(record["SHAAlg"])
        if section not in ("mod = 2048", "mod = 3072", "mod = 4096") or algorithm is None:
            continue
        try:
            key = load_public_key(rsa_spki(int(record["n"], 16), int(record["e"], 16)))
        except MalformedKey:
            # Some exponents of the file are larger than ours may be.
            assert int(record["e"], 16) >= 2**33
            continue
        verdict = verify(
            key,
            algorithm,
            message=bytes.fromhex(record["Msg"]),
            signature=bytes.fromhex(record["S"]),
        )
        holds = record["Result"].startswith("P")
        assert (verdict is Verdict.VALID) == holds
        seen[section, record["SHAAlg"], holds] = 1

    assert len(seen) == 18


@pytest.mark.parametrize(("algorithm", "name"), PSS)
def test_pss_wants_the_salt_as_long_as_the_hash(
    algorithm: Algorithm, name: hashes.HashAlgorithm
) -> None:
    def signature(salt: int) -> bytes:
        pss = padding.PSS(padding.MGF1(name), salt)
        return private_key().sign(MESSAGE, pss, name)

    key = public_key()

    assert (
        verify(key, algorithm, message=MESSAGE, signature=signature(name.digest_size))
        is Verdict.VALID
    )
    for salt in (0, 20, name.digest_size - 1, name.digest_size + 1):
        assert (
            verify(key, algorithm, message=MESSAGE, signature=signature(salt))
            is Verdict.INVALID_SIGNATURE
        )


def test_pss_wants_mgf1_of_the_same_hash() -> None:
    pss = padding.PSS(padding.MGF1(hashes.SHA512()), 32)
    signature = private_key().sign(MESSAGE, pss, hashes.SHA256())

    verdict = verify(public_key(), Algorithm.RSA_PSS_SHA256, message=MESSAGE, signature=signature)

    assert verdict is Verdict.INVALID_SIGNATURE


@pytest.mark.parametrize("bits", [2048, 2049, 2055, 3072])
def test_moduli_of_any_number_of_bits_verify(bits: int) -> None:
    key = public_key(bits)
    pss = padding.PSS(padding.MGF1(hashes.SHA256()), 32)
    signed = {
        Algorithm.RSA_PKCS1_SHA256: private_key(bits).sign(
            MESSAGE, padding.PKCS1v15(), hashes.SHA256()
        ),
        Algorithm.RSA_PSS_SHA256: private_key(bits).sign(MESSAGE, pss, hashes.SHA256()),
    }
    digest = hashlib.sha256(MESSAGE).digest()
    for algorithm, signature in signed.items():
        assert verify(key, algorithm, message=MESSAGE, signature=signature) is Verdict.VALID
        assert verify(key, algorithm, digest=digest, signature=signature) is Verdict.VALID
        assert (
            verify(key, algorithm, digest=digest[1:], signature=signature)
            is Verdict.MALFORMED_DIGEST
        )


def test_a_signature_is_as_long_as_the_modulus_and_below_it() -> None:
    key = public_key()
    good = private_key().sign(MESSAGE, padding.PKCS1v15(), hashes.SHA256())
    above = key.modulus + int.from_bytes(good, "big")
    malformed = [b"", good[:-1], good + b"\0", b"\0" + good, key.modulus.to_bytes(256, "big")]
    if above < 2**2048:
        malformed.append(above.to_bytes(256, "big"))
    for algorithm in (Algorithm.RSA_PKCS1_SHA256, Algorithm.RSA_PSS_SHA256):
        for signature in malformed:
            assert (
                verify(key, algorithm, message=MESSAGE, signature=signature)
                is Verdict.MALFORMED_SIGNATURE
            )
        for number in (0, 1, key.modulus - 1):
            assert (
                verify(key, algorithm, message=MESSAGE, signature=number.to_bytes(256, "big"))
                is Verdict.INVALID_SIGNATURE
            )


@pytest.mark.parametrize("exponent", [3, 17, 65537, 2**32 + 1, 2**33 - 1])
def test_odd_exponents_from_3_to_below_2_33_verify(exponent: int) -> None:
    # PKCS#1 v1.5 by hand: no library makes keys of these exponents.
    digest_info = bytes.fromhex("3031300d060960864801650304020105000420")
    tail = digest_info + hashlib.sha256(MESSAGE).digest()
    encoded = b"\0\1" + b"\xff" * (256 - 3 - len(tail)) + b"\0" + tail
    modulus, secret = modulus_and_secret(exponent)
    signature = pow(int.from_bytes(encoded, "big"), secret, modulus).to_bytes(256, "big")
    key = load_public_key(rsa_spki(modulus, exponent))

    verdict = verify(key, Algorithm.RSA_PKCS1_SHA256, message=MESSAGE, signature=signature)

    assert verdict is Verdict.VALID


def modulus_and_secret(exponent: int) -> tuple[int, int]:
    """A 2048-bit modulus whose group's order has no factor in common with the exponent."""
    while True:
        numbers = rsa.generate_private_key(3, 2048).private_numbers()
        order = (numbers.p - 1) * (numbers.q - 1)
        if gcd(order, exponent) == 1:
            return numbers.p * numbers.q, pow(exponent, -1, order)


@pytest.mark.parametrize("exponent", [0, 1, 2, 4, 65536, 2**33, 2**33 + 1, 2**64 + 1])
def test_other_exponents_are_malformed(exponent: int) -> None:
    with pytest.raises(MalformedKey):
        load_public_key(rsa_spki(public_key().modulus, exponent))


@pytest.mark.parametrize("modulus", [2**2047 - 1, 2**1023 + 1, 2**8192 + 1, 2**2047, 0])
def test_other_moduli_are_malformed(modulus: int) -> None:
    with pytest.raises(MalformedKey):
        load_public_key(rsa_spki(modulus, 65537))


@pytest.mark.parametrize("modulus", [2**2047 + 1, 2**8191 + 1])
def test_the_smallest_and_the_largest_moduli_are_keys(modulus: int) -> None:
    key = load_public_key(rsa_spki(modulus, 3))

    assert isinstance(key, RsaKey)
    assert (
        verify(
            key,
            Algorithm.RSA_PKCS1_SHA512,
            message=MESSAGE,
            signature=bytes(key.modulus_length),
        )
        is Verdict.INVALID_SIGNATURE
    )


@pytest.mark.parametrize("parameters", [b"", b"\5\0\5\0", b"\x30\0", b"\5"])
def test_an_rsa_key_s_parameters_are_null(parameters: bytes) -> None:
    with pytest.raises(MalformedKey):
        load_public_key(rsa_spki(public_key().modulus, 65537, parameters))
