"""Load and use a caller's credential: a certificate and its private key in one PEM file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

from qagazsyz.common.v1 import signatures_pb2

PrivateKey = ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

Algorithm = signatures_pb2.SignatureAlgorithm

_ECDSA: dict[str, tuple[signatures_pb2.SignatureAlgorithm, hashes.HashAlgorithm]] = {
    "secp256r1": (Algorithm.SIGNATURE_ALGORITHM_ECDSA_P256_SHA256, hashes.SHA256()),
    "secp384r1": (Algorithm.SIGNATURE_ALGORITHM_ECDSA_P384_SHA384, hashes.SHA384()),
    "secp521r1": (Algorithm.SIGNATURE_ALGORITHM_ECDSA_P521_SHA512, hashes.SHA512()),
}


class CredentialError(ValueError):
    """The PEM has no certificate with its private key, or the key's kind is not supported."""


@dataclass(frozen=True, slots=True)
class Credential:
    """A certificate, its issuers' certificates, and its private key."""

    # DER.
    certificate: bytes
    private_key: PrivateKey
    # DER of the issuers, beginning with the certificate's own.
    chain: tuple[bytes, ...] = ()

    @classmethod
    def load(cls, path: Path | str) -> Credential:
        """Load a PEM file of certificates, the holder's first, and an unencrypted PKCS#8 key.

        Raises OSError if the file cannot be read, CredentialError if it is not a credential.
        """
        return cls.from_pem(Path(path).read_bytes())

    @classmethod
    def from_pem(cls, pem: bytes) -> Credential:
        """Parse a credential from PEM bytes. Raises CredentialError."""
        try:
            leaf, *chain = x509.load_pem_x509_certificates(pem)
            key = serialization.load_pem_private_key(_key_block(pem), password=None)
        except (ValueError, TypeError) as error:
            raise CredentialError(
                "no certificate with an unencrypted private key in PEM"
            ) from error
        if not isinstance(
            key, ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
        ):
            raise CredentialError("private keys of this kind are not supported")
        if key.public_key() != leaf.public_key():
            raise CredentialError("the private key is not the first certificate's")
        signing_algorithm(key)  # refuse an unsupported curve now, not at the first call
        return cls(_der(leaf), key, tuple(_der(certificate) for certificate in chain))

    def to_pem(self) -> bytes:
        """Return the PEM that load reads: certificates, the holder's first, then the key."""
        certificates = [
            x509.load_der_x509_certificate(der) for der in (self.certificate, *self.chain)
        ]
        pem = b"".join(c.public_bytes(serialization.Encoding.PEM) for c in certificates)
        return pem + private_key_pem(self.private_key)

    def sign(self, message: bytes) -> tuple[signatures_pb2.SignatureAlgorithm, bytes]:
        """Sign the message; return the key's algorithm and the signature."""
        return signing_algorithm(self.private_key), sign(self.private_key, message)


def private_key_pem(key: PrivateKey) -> bytes:
    """Return a key in PEM, unencrypted PKCS#8, as a credential's file has it."""
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def signing_algorithm(key: PrivateKey) -> signatures_pb2.SignatureAlgorithm:
    """Return the algorithm that a key signs with: Ed25519, ECDSA by its curve, or RSA PKCS#1 with
    SHA-256. Raises CredentialError for a curve that the contracts have no algorithm for."""
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return Algorithm.SIGNATURE_ALGORITHM_ED25519
    if isinstance(key, rsa.RSAPrivateKey):
        return Algorithm.SIGNATURE_ALGORITHM_RSA_PKCS1_SHA256
    if key.curve.name not in _ECDSA:
        raise CredentialError(f"keys on the curve {key.curve.name} are not supported")
    return _ECDSA[key.curve.name][0]


def sign(key: PrivateKey, message: bytes) -> bytes:
    """Sign the message under signing_algorithm(key); an ECDSA signature is DER."""
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key.sign(message)
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(message, padding.PKCS1v15(), hashes.SHA256())
    return key.sign(message, ec.ECDSA(_ECDSA[key.curve.name][1]))


def _der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.DER)


def _key_block(pem: bytes) -> bytes:
    begin = pem.find(b"-----BEGIN PRIVATE KEY-----")
    if begin < 0:
        raise ValueError("no PKCS#8 private key")
    return pem[begin:]
