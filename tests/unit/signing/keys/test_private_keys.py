"""Generated keys of every algorithm sign, and what they sign verifies."""

from __future__ import annotations

import hashlib

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import ExtendedKeyUsageOID

from services.signing.keys.private_keys import SigningKey, generate
from signatures.algorithms import SCHEMES, Algorithm, Verdict
from signatures.keys import load_public_key
from signatures.portable import verify

GOST = (Algorithm.GOST3410_2012_256, Algorithm.GOST3410_2012_512)
GENERATED = [algorithm for algorithm in Algorithm if algorithm not in GOST]
DIGESTS = {"SHA-256": hashlib.sha256, "SHA-384": hashlib.sha384, "SHA-512": hashlib.sha512}


@pytest.mark.parametrize("algorithm", GENERATED, ids=lambda a: a.name)
def test_what_a_generated_key_signs_verifies(algorithm: Algorithm) -> None:
    pair = generate(algorithm)
    public = load_public_key(pair.public_key)
    signing_key = SigningKey(algorithm, pair.private_key)
    message = "Мекенжай анықтамасы".encode()
    signature = signing_key.sign(message, None)
    assert verify(public, algorithm, message=message, signature=signature) is Verdict.VALID
    wrong = verify(public, algorithm, message=b"x", signature=signature)
    assert wrong is Verdict.INVALID_SIGNATURE
    hashing = SCHEMES[algorithm].hash
    if hashing is not None:
        digest = DIGESTS[hashing.value[1]](message).digest()
        signature = signing_key.sign(None, digest)
        assert verify(public, algorithm, message=message, signature=signature) is Verdict.VALID


@pytest.mark.parametrize("algorithm", GENERATED, ids=lambda a: a.name)
def test_a_certificate_request_proves_the_key_and_asks_for_usage_sign(
    algorithm: Algorithm,
) -> None:
    pair = generate(algorithm)
    der = SigningKey(algorithm, pair.private_key).certificate_request()
    request = x509.load_der_x509_csr(der)
    assert request.is_signature_valid
    usage = request.extensions.get_extension_for_class(x509.KeyUsage).value
    assert usage.digital_signature and usage.content_commitment
    assert not (usage.key_encipherment or usage.key_agreement or usage.key_cert_sign)
    extended = request.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(extended) == [ExtendedKeyUsageOID.EMAIL_PROTECTION]


def test_a_certificate_request_is_over_the_keys_public_part() -> None:
    pair = generate(Algorithm.ECDSA_P256_SHA256)
    der = SigningKey(Algorithm.ECDSA_P256_SHA256, pair.private_key).certificate_request()
    spki = (
        x509.load_der_x509_csr(der)
        .public_key()
        .public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    assert spki == pair.public_key


@pytest.mark.parametrize(
    ("of", "other"),
    [
        (Algorithm.ED25519, Algorithm.ECDSA_P256_SHA256),
        (Algorithm.ECDSA_P256_SHA256, Algorithm.ED25519),
    ],
)
def test_a_key_signs_by_no_other_algorithm(of: Algorithm, other: Algorithm) -> None:
    signing_key = SigningKey(other, generate(of).private_key)
    with pytest.raises(TypeError):
        signing_key.sign(b"message", None)
