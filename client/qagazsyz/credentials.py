"""A caller's credential: a certificate and its private key, as one PEM file holds them."""

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
    """The file holds no certificate with its private key, or a key of a kind that cannot sign."""


@dataclass(frozen=True, slots=True)
class Credential:
    """A certificate, those that issued it, and the private key that goes with it."""

    # DER.
    certificate: bytes
    private_key: PrivateKey
    # The issuers, DER, the leaf's own first.
    chain: tuple[bytes, ...] = ()

    @classmethod
    def load(cls, path: Path | str) -> Credential:
        """The credential in a PEM file: certificates, the holder's first, and a PKCS#8 key.

        Raises OSError where the file cannot be read, CredentialError where it is none.
        """
        return cls.from_pem(Path(path).read_bytes())

    @classmethod
    def from_pem(cls, pem: bytes) -> Credential:
        """The credential in PEM bytes. Raises CredentialError."""
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
            raise CredentialError("a private key of this kind signs nothing here")
        if key.public_key() != leaf.public_key():
            raise CredentialError("the private key is not the first certificate's")
        signing_algorithm(key)  # a curve that is not known is told now, not at the first call
        return cls(_der(leaf), key, tuple(_der(certificate) for certificate in chain))

    def to_pem(self) -> bytes:
        """What load reads: the chain, holder's certificate first, then the key as PKCS#8."""
        certificates = [
            x509.load_der_x509_certificate(der) for der in (self.certificate, *self.chain)
        ]
        key = self.private_key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        return b"".join(c.public_bytes(serialization.Encoding.PEM) for c in certificates) + key

    def sign(self, message: bytes) -> tuple[signatures_pb2.SignatureAlgorithm, bytes]:
        """The algorithm that goes with the key, and the signature over message under it."""
        return signing_algorithm(self.private_key), sign(self.private_key, message)


def signing_algorithm(key: PrivateKey) -> signatures_pb2.SignatureAlgorithm:
    """The algorithm for a key: Ed25519, ECDSA by its curve, RSA PKCS#1 with SHA-256.

    Raises CredentialError for a curve that the contracts do not know.
    """
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return Algorithm.SIGNATURE_ALGORITHM_ED25519
    if isinstance(key, rsa.RSAPrivateKey):
        return Algorithm.SIGNATURE_ALGORITHM_RSA_PKCS1_SHA256
    if key.curve.name not in _ECDSA:
        raise CredentialError(f"keys on the curve {key.curve.name} are not known here")
    return _ECDSA[key.curve.name][0]


def sign(key: PrivateKey, message: bytes) -> bytes:
    """The signature over message under signing_algorithm(key); ECDSA's in DER."""
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
