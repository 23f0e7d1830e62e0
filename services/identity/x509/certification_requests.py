"""PKCS#10 certification requests: the key, and the proof that the caller has it (RFC 2986)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from signatures.keys import MalformedKey, UnsupportedKey, load_public_key

# Of the contract's algorithms, those that tools everywhere make certificates for.
CERTIFIABLE_KEYS = (ec.EllipticCurvePublicKey, ed25519.Ed25519PublicKey, rsa.RSAPublicKey)
# One with an RSA key of 8192 bits has about 2 KB.
REQUEST_LIMIT_BYTES = 16 * 1024


class InvalidRequest(ValueError):
    """A PKCS#10 request that cannot be certified; its text says why."""


@dataclass(frozen=True, slots=True)
class CertificationRequest:
    """The public key whose possession is proved, and whether usage SIGN is asked for."""

    key: Any
    asks_to_sign: bool

    @property
    def spki(self) -> bytes:
        """The key's SubjectPublicKeyInfo, DER."""
        return _spki(self.key)


def read_certification_request(der: bytes) -> CertificationRequest:
    """Read a request, verify its own signature, and check that its key may be certified. Raises
    InvalidRequest."""
    if len(der) > REQUEST_LIMIT_BYTES:
        raise InvalidRequest("too large for a PKCS#10 request")
    try:
        request = x509.load_der_x509_csr(der)
        key = request.public_key()
        # Before the signature, since verification by a key of any size has any price.
        _check_key(key)
        if not request.is_signature_valid:
            raise InvalidRequest("the request's own signature is not valid")
        return CertificationRequest(key, _asks_to_sign(request.extensions))
    except InvalidRequest:
        raise
    except Exception as error:  # whatever a parser makes of foreign bytes
        raise InvalidRequest("not a PKCS#10 request in DER with a supported key") from error


def _check_key(key: Any) -> None:
    """Raise InvalidRequest for a key of an uncertified kind, and for one that verifies nothing."""
    if not isinstance(key, CERTIFIABLE_KEYS):
        raise InvalidRequest("keys of this kind are not certified")
    try:
        load_public_key(_spki(key))
    except UnsupportedKey:
        raise InvalidRequest("the key's curve is not supported") from None
    except MalformedKey:
        raise InvalidRequest("the key is too weak, too large or not a point of its curve") from None


def _asks_to_sign(extensions: x509.Extensions) -> bool:
    try:
        return extensions.get_extension_for_class(x509.KeyUsage).value.content_commitment
    except x509.ExtensionNotFound:
        return False


def _spki(key: Any) -> bytes:
    encoded: bytes = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return encoded
