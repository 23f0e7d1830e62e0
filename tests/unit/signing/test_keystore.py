"""Keys that are made here: every algorithm signs, and what it signs verifies."""

from __future__ import annotations

import hashlib

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from services.runtime.errors import InvalidArgument
from services.signing.keys.rules import (
    CHALLENGE_PREFIX,
    Signatory,
    check_algorithm,
    check_key_id,
    check_payload,
    generate,
    is_version_name,
    parse_key_name,
    parse_version_name,
)
from signatures.algorithms import SCHEMES, Algorithm, Verdict
from signatures.keys import load_public_key
from signatures.portable import verify

GOST = (Algorithm.GOST3410_2012_256, Algorithm.GOST3410_2012_512)
MADE = [algorithm for algorithm in Algorithm if algorithm not in GOST]
DIGESTS = {"SHA-256": hashlib.sha256, "SHA-384": hashlib.sha384, "SHA-512": hashlib.sha512}


@pytest.mark.parametrize("algorithm", MADE, ids=lambda a: a.name)
def test_what_a_fresh_key_signs_verifies(algorithm: Algorithm) -> None:
    pair = generate(algorithm)
    public = load_public_key(pair.public_key)
    signatory = Signatory(algorithm, pair.private_key)
    message = "Мекенжай анықтамасы".encode()
    signature = signatory.sign(message, None)
    assert verify(public, algorithm, message=message, signature=signature) is Verdict.VALID
    wrong = verify(public, algorithm, message=b"x", signature=signature)
    assert wrong is Verdict.INVALID_SIGNATURE
    hashing = SCHEMES[algorithm].hash
    if hashing is not None:
        digest = DIGESTS[hashing.value[1]](message).digest()
        signature = signatory.sign(None, digest)
        assert verify(public, algorithm, message=message, signature=signature) is Verdict.VALID


@pytest.mark.parametrize("algorithm", MADE, ids=lambda a: a.name)
def test_a_certificate_request_proves_the_key_and_asks_for_usage_sign(
    algorithm: Algorithm,
) -> None:
    pair = generate(algorithm)
    der = Signatory(algorithm, pair.private_key).certificate_request()
    request = x509.load_der_x509_csr(der)
    assert request.is_signature_valid
    usage = request.extensions.get_extension_for_class(x509.KeyUsage).value
    assert usage.digital_signature and usage.content_commitment
    assert not (usage.key_encipherment or usage.key_agreement or usage.key_cert_sign)
    extended = request.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(extended) == [ExtendedKeyUsageOID.EMAIL_PROTECTION]


@pytest.mark.parametrize("number", [*GOST, 0, 19, -1])
def test_a_key_of_an_algorithm_that_is_not_made_here_is_refused(number: int) -> None:
    with pytest.raises(InvalidArgument) as caught:
        check_algorithm(number, "key.algorithm")
    assert caught.value.field == "key.algorithm"


@pytest.mark.parametrize(
    ("algorithm", "message", "digest", "field"),
    [
        (Algorithm.ED25519, CHALLENGE_PREFIX, None, "message"),
        (Algorithm.ED25519, CHALLENGE_PREFIX + b"\nqagazsyz\n", None, "message"),
        (Algorithm.RSA_PKCS1_SHA256, CHALLENGE_PREFIX + b"x", None, "message"),
        (Algorithm.ED25519, None, None, "message"),
        (Algorithm.ED25519, None, bytes(64), "digest"),
        (Algorithm.ML_DSA_65, None, bytes(64), "digest"),
        (Algorithm.ECDSA_P256_SHA256, None, bytes(31), "digest"),
        (Algorithm.ECDSA_P256_SHA256, None, b"", "digest"),
        (Algorithm.ECDSA_P384_SHA384, None, bytes(32), "digest"),
    ],
)
def test_what_a_seal_must_not_sign_is_refused(
    algorithm: Algorithm, message: bytes | None, digest: bytes | None, field: str
) -> None:
    with pytest.raises(InvalidArgument) as caught:
        check_payload(algorithm, message, digest)
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("message", "digest"), [(b"", None), (b"qagazsyz sign-in v", None), (None, bytes(32))]
)
def test_other_messages_and_digests_of_the_right_length_pass(
    message: bytes | None, digest: bytes | None
) -> None:
    check_payload(Algorithm.ECDSA_P256_SHA256, message, digest)


@pytest.mark.parametrize("key_id", ["A", "-a", "a-", "a/b", "a" * 64, "ключ", "a\x00", " a"])
def test_an_id_that_no_address_takes_is_refused(key_id: str) -> None:
    with pytest.raises(InvalidArgument):
        check_key_id(key_id, "key_id")


def test_names_are_read_whole() -> None:
    assert parse_key_name("keys/seal-1", "name") == "seal-1"
    assert parse_version_name("keys/seal-1/versions/12", "name") == ("seal-1", 12)
    for name in ("keys/", "keys/a/versions/1", "seal", "keys/a\n", "keys/" + "a" * 64):
        with pytest.raises(InvalidArgument):
            parse_key_name(name, "name")
    for name in ("keys/a/versions/0", "keys/a/versions/01", "keys/a/versions/9999999999"):
        assert not is_version_name(name)
        with pytest.raises(InvalidArgument):
            parse_version_name(name, "name")
