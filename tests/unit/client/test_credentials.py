"""Credentials: a certificate and its private key in one PEM file."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

from qagazsyz.common.v1 import signatures_pb2
from qagazsyz.credentials import Credential, CredentialError, PrivateKey, signing_algorithm
from tests.builders import self_signed_credential


def check(key: PrivateKey, algorithm: int, signature: bytes, message: bytes) -> None:
    """Verify with cryptography that the signature is the key's under that algorithm."""
    public = key.public_key()
    if isinstance(public, ed25519.Ed25519PublicKey):
        assert algorithm == signatures_pb2.SIGNATURE_ALGORITHM_ED25519
        public.verify(signature, message)
    elif isinstance(public, rsa.RSAPublicKey):
        assert algorithm == signatures_pb2.SIGNATURE_ALGORITHM_RSA_PKCS1_SHA256
        public.verify(signature, message, padding.PKCS1v15(), hashes.SHA256())
    else:
        digest, expected = {
            256: (hashes.SHA256(), signatures_pb2.SIGNATURE_ALGORITHM_ECDSA_P256_SHA256),
            384: (hashes.SHA384(), signatures_pb2.SIGNATURE_ALGORITHM_ECDSA_P384_SHA384),
            521: (hashes.SHA512(), signatures_pb2.SIGNATURE_ALGORITHM_ECDSA_P521_SHA512),
        }[public.curve.key_size]
        assert algorithm == expected
        public.verify(signature, message, ec.ECDSA(digest))


@pytest.mark.parametrize(
    "key",
    [
        ed25519.Ed25519PrivateKey.generate(),
        ec.generate_private_key(ec.SECP256R1()),
        ec.generate_private_key(ec.SECP384R1()),
        ec.generate_private_key(ec.SECP521R1()),
        rsa.generate_private_key(public_exponent=65537, key_size=2048),
    ],
    ids=lambda key: getattr(getattr(key, "curve", None), "name", type(key).__name__),
)
def test_a_credential_signs_with_its_keys_algorithm_after_a_round_trip(
    key: PrivateKey, tmp_path: Path
) -> None:
    path = tmp_path / "credential.pem"
    path.write_bytes(self_signed_credential(key).to_pem())
    algorithm, signature = Credential.load(path).sign(b"message")
    check(key, algorithm, signature, b"message")


def test_a_key_that_is_not_the_certificates_is_no_credential() -> None:
    one = self_signed_credential().to_pem()
    other = self_signed_credential().to_pem()
    mixed = one[: one.index(b"-----BEGIN PRIVATE")] + other[other.index(b"-----BEGIN PRIVATE") :]
    for pem in (mixed, b"", one[:-40], other[other.index(b"-----BEGIN PRIVATE") :]):
        with pytest.raises(CredentialError):
            Credential.from_pem(pem)


def test_a_curve_that_the_contracts_do_not_know_is_refused() -> None:
    with pytest.raises(CredentialError):
        signing_algorithm(ec.generate_private_key(ec.SECP256K1()))
