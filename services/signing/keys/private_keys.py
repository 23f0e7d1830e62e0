"""Generate private keys, and sign with them: every algorithm of the contract but GOST.

A private key is in memory between unsealing and the end of the call, as PKCS#8 or as OpenSSL's
object, and never leaves the service.
"""

from __future__ import annotations

from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, decode_dss_signature
from cryptography.x509.oid import ExtendedKeyUsageOID

from signatures.algorithms import SCHEMES, Algorithm, Encoding, Hash, KeyKind

PrivateKey = (
    ed25519.Ed25519PrivateKey
    | ec.EllipticCurvePrivateKey
    | rsa.RSAPrivateKey
    | mldsa.MLDSA44PrivateKey
    | mldsa.MLDSA65PrivateKey
    | mldsa.MLDSA87PrivateKey
)

# NIST SP 800-57, part 1, table 2: 2048 bits give 112 bits of strength; 3072 go with larger hashes.
RSA_BITS = {Hash.SHA256: 2048, Hash.SHA384: 3072, Hash.SHA512: 3072}
RSA_EXPONENT = 65537

_CURVES: dict[KeyKind, type[ec.EllipticCurve]] = {
    KeyKind.P256: ec.SECP256R1,
    KeyKind.P384: ec.SECP384R1,
    KeyKind.P521: ec.SECP521R1,
}
_MlDsaKey = (
    type[mldsa.MLDSA44PrivateKey] | type[mldsa.MLDSA65PrivateKey] | type[mldsa.MLDSA87PrivateKey]
)
_ML_DSA: dict[KeyKind, _MlDsaKey] = {
    KeyKind.ML_DSA_44: mldsa.MLDSA44PrivateKey,
    KeyKind.ML_DSA_65: mldsa.MLDSA65PrivateKey,
    KeyKind.ML_DSA_87: mldsa.MLDSA87PrivateKey,
}
_HASHES: dict[Hash, hashes.SHA256 | hashes.SHA384 | hashes.SHA512] = {
    Hash.SHA256: hashes.SHA256(),
    Hash.SHA384: hashes.SHA384(),
    Hash.SHA512: hashes.SHA512(),
}


@dataclass(frozen=True, slots=True, repr=False)
class KeyPair:
    """A key that was just generated."""

    # PKCS#8, DER.
    private_key: bytes
    # SubjectPublicKeyInfo, DER.
    public_key: bytes


def generate(algorithm: Algorithm) -> KeyPair:
    """Generate a key pair with the operating system's randomness."""
    key = _generate(algorithm)
    return KeyPair(
        key.private_bytes(
            serialization.Encoding.DER,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
        key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        ),
    )


def _generate(algorithm: Algorithm) -> PrivateKey:
    scheme = SCHEMES[algorithm]
    if scheme.key is KeyKind.ED25519:
        return ed25519.Ed25519PrivateKey.generate()
    if scheme.key in _CURVES:
        return ec.generate_private_key(_CURVES[scheme.key]())
    if scheme.key is KeyKind.RSA and scheme.hash is not None:
        return rsa.generate_private_key(RSA_EXPONENT, RSA_BITS[scheme.hash])
    return _ML_DSA[scheme.key].generate()


class SigningKey:
    """A private key, unsealed for one call."""

    def __init__(self, algorithm: Algorithm, private_key: bytes) -> None:
        """private_key: PKCS#8, DER, as `generate` returned it."""
        # OpenSSL's check of an RSA key takes longer than a signature. The seal proves already that
        # the key is one that was generated here.
        key = serialization.load_der_private_key(
            private_key, None, unsafe_skip_rsa_key_validation=True
        )
        if not isinstance(key, PrivateKey):
            raise TypeError("a key of a kind that is not generated here")
        self._key = key
        self._scheme = SCHEMES[algorithm]

    def sign(self, message: bytes | None, digest: bytes | None) -> bytes:
        """Sign the message, or the digest, in the algorithm's encoding.

        The payload must have passed rules.check_payload.
        """
        data = message if message is not None else digest
        if data is None:
            raise ValueError("nothing to sign")
        key, scheme = self._key, self._scheme
        if scheme.hash is None:
            if isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
                raise TypeError("a key of another algorithm")
            return key.sign(data)
        hashing = _HASHES[scheme.hash]
        chosen = hashing if message is not None else Prehashed(hashing)
        if isinstance(key, rsa.RSAPrivateKey):
            return key.sign(data, self._padding(hashing), chosen)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise TypeError("a key of another algorithm")
        signature = key.sign(data, ec.ECDSA(chosen))
        if scheme.encoding is Encoding.P1363:
            width = (key.key_size + 7) // 8
            r, s = decode_dss_signature(signature)
            return r.to_bytes(width, "big") + s.to_bytes(width, "big")
        return signature

    def _padding(self, hashing: hashes.HashAlgorithm) -> padding.PSS | padding.PKCS1v15:
        if self._scheme.encoding is Encoding.PSS:
            return padding.PSS(padding.MGF1(hashing), hashing.digest_size)
        return padding.PKCS1v15()

    def certificate_request(self) -> bytes:
        """Return a PKCS#10 request, DER, for usage SIGN.

        Extensions are those of the National Certification Authority: keyUsage digitalSignature and
        nonRepudiation, EKU emailProtection. The subject is empty: the authority knows the key's
        organization and sets it.
        """
        builder = (
            x509.CertificateSigningRequestBuilder()
            .subject_name(x509.Name([]))
            .add_extension(_SIGN_USAGE, critical=True)
            .add_extension(
                x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False
            )
        )
        scheme = self._scheme
        hashing = _HASHES[scheme.hash] if scheme.hash is not None else None
        rsa_padding = None
        if hashing is not None and scheme.encoding is Encoding.PSS:
            rsa_padding = padding.PSS(padding.MGF1(hashing), hashing.digest_size)
        request = builder.sign(self._key, hashing, rsa_padding=rsa_padding)
        return request.public_bytes(serialization.Encoding.DER)


_SIGN_USAGE = x509.KeyUsage(
    digital_signature=True,
    content_commitment=True,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=False,
    crl_sign=False,
    encipher_only=False,
    decipher_only=False,
)
