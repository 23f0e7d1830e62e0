"""Keys that the platform holds: their names, versions and states, and what is done with them.

Private keys exist here only as PKCS#8 between unsealing and use. Every
algorithm of the contract but GOST is generated and signed with.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, decode_dss_signature
from cryptography.x509.oid import ExtendedKeyUsageOID

from qagazsyz.signed_texts import SIGN_IN
from services.runtime.errors import FailedPrecondition, InvalidArgument
from signatures.algorithms import SCHEMES, Algorithm, Encoding, Hash, KeyKind

PrivateKey = (
    ed25519.Ed25519PrivateKey
    | ec.EllipticCurvePrivateKey
    | rsa.RSAPrivateKey
    | mldsa.MLDSA44PrivateKey
    | mldsa.MLDSA65PrivateKey
    | mldsa.MLDSA87PrivateKey
)

# How every sign-in challenge of identity begins: a key held here must never sign one.
CHALLENGE_PREFIX = SIGN_IN.encode()
# A key with a new version each day for a quarter; Key lists them all.
VERSIONS_LIMIT = 100
# NIST SP 800-57, table 2: 2048 bits go with 112 bits of strength, 3072 with the larger hashes.
RSA_BITS = {Hash.SHA256: 2048, Hash.SHA384: 3072, Hash.SHA512: 3072}
RSA_EXPONENT = 65537

_KEY_ID = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
# Ten digits hold any count of versions, and fit the database's integer.
_VERSION = r"[1-9][0-9]{0,8}"
_KEY_ID_PATTERN = re.compile(_KEY_ID)
_KEY_NAME = re.compile(rf"keys/({_KEY_ID})")
_VERSION_NAME = re.compile(rf"keys/({_KEY_ID})/versions/({_VERSION})")

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


class State(IntEnum):
    """Of a key's version; KeyVersionState's numbers."""

    ENABLED = 1
    DISABLED = 2
    DESTROYED = 3


@dataclass(frozen=True, slots=True)
class KeyVersion:
    """One pair of keys; the private part is apart, sealed."""

    key_id: str
    number: int
    # SubjectPublicKeyInfo, DER.
    public_key: bytes
    state: State
    create_time: datetime

    @property
    def name(self) -> str:
        return version_name(self.key_id, self.number)


@dataclass(frozen=True, slots=True)
class Key:
    """An organization's key with all its versions, in order; the primary one signs."""

    id: str
    organization: str
    algorithm: Algorithm
    primary: int
    versions: tuple[KeyVersion, ...]
    create_time: datetime

    @property
    def name(self) -> str:
        return f"keys/{self.id}"

    @property
    def primary_name(self) -> str:
        return version_name(self.id, self.primary)

    def version(self, number: int) -> KeyVersion | None:
        """The version of that number, or None."""
        return next((v for v in self.versions if v.number == number), None)

    def next_number(self) -> int:
        """The number of the version that a rotation makes. Raises FailedPrecondition."""
        if len(self.versions) >= VERSIONS_LIMIT:
            raise FailedPrecondition(
                "TOO_MANY_VERSIONS", f"a key has at most {VERSIONS_LIMIT} versions: make a new key"
            )
        return max(v.number for v in self.versions) + 1


@dataclass(frozen=True, slots=True, repr=False)
class KeyPair:
    """A key that was just made."""

    # PKCS#8, DER.
    private_key: bytes
    # SubjectPublicKeyInfo, DER.
    public_key: bytes


def version_name(key_id: str, number: int) -> str:
    return f"keys/{key_id}/versions/{number}"


def parse_key_name(name: str, field: str) -> str:
    """The id in "keys/{id}". Raises InvalidArgument."""
    match = _KEY_NAME.fullmatch(name)
    if match is None:
        raise InvalidArgument(field, 'not of the form "keys/{key}"')
    return match[1]


def parse_version_name(name: str, field: str) -> tuple[str, int]:
    """The id and number in "keys/{id}/versions/{number}". Raises InvalidArgument."""
    match = _VERSION_NAME.fullmatch(name)
    if match is None:
        raise InvalidArgument(field, 'not of the form "keys/{key}/versions/{version}"')
    return match[1], int(match[2])


def is_version_name(name: str) -> bool:
    """Whether a version could bear this name."""
    return _VERSION_NAME.fullmatch(name) is not None


def check_key_id(key_id: str, field: str) -> str:
    """The id as it is. Raises InvalidArgument."""
    if not _KEY_ID_PATTERN.fullmatch(key_id):
        raise InvalidArgument(field, "not 1 to 63 lower-case letters, digits and inner hyphens")
    return key_id


def check_algorithm(number: int, field: str) -> Algorithm:
    """The algorithm of a key that can be made here. Raises InvalidArgument."""
    scheme = SCHEMES.get(number)
    if scheme is None:
        raise InvalidArgument(field, "no such algorithm")
    if scheme.key in (KeyKind.GOST_256, KeyKind.GOST_512):
        raise InvalidArgument(field, "keys of this algorithm are verified with, not made here")
    return Algorithm(number)


def generate(algorithm: Algorithm) -> KeyPair:
    """A fresh pair for the algorithm, from the operating system's generator."""
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


def check_payload(algorithm: Algorithm, message: bytes | None, digest: bytes | None) -> None:
    """Returns where this may be signed with a key of the algorithm, else raises InvalidArgument."""
    if message is not None:
        if message.startswith(CHALLENGE_PREFIX):
            raise InvalidArgument(
                "message", "begins like a sign-in challenge, which seals never do"
            )
        return
    if digest is None:
        raise InvalidArgument("message", "neither a message nor a digest")
    scheme = SCHEMES[algorithm]
    if scheme.hash is None:
        raise InvalidArgument("digest", "this key's algorithm signs the message itself")
    if len(digest) != scheme.hash.digest_length:
        raise InvalidArgument("digest", f"not {scheme.hash.digest_length} bytes long")


class Signatory:
    """A private key, unsealed for the time of one call."""

    def __init__(self, algorithm: Algorithm, private_key: bytes) -> None:
        """private_key: PKCS#8, DER, as it was sealed here."""
        # What was sealed here was generated here: OpenSSL's own check of an RSA key, which takes
        # longer than a signature, would prove nothing that the seal has not.
        key = serialization.load_der_private_key(
            private_key, None, unsafe_skip_rsa_key_validation=True
        )
        if not isinstance(key, PrivateKey):
            raise TypeError("no key of a kind that is made here")
        self._key = key
        self._scheme = SCHEMES[algorithm]

    def sign(self, message: bytes | None, digest: bytes | None) -> bytes:
        """The signature over what check_payload let pass, encoded as the algorithm has it."""
        data = message if message is not None else digest
        if data is None:
            raise ValueError("nothing to sign")
        key, scheme = self._key, self._scheme
        if scheme.hash is None:
            if isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
                raise TypeError("the key is another algorithm's")
            return key.sign(data)
        hashing = _HASHES[scheme.hash]
        chosen = hashing if message is not None else Prehashed(hashing)
        if isinstance(key, rsa.RSAPrivateKey):
            return key.sign(data, self._padding(hashing), chosen)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise TypeError("the key is another algorithm's")
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
        """A PKCS#10 request, DER, that asks for usage SIGN: as the National Certification
        Authority writes it, keyUsage digitalSignature and nonRepudiation, EKU emailProtection.

        It names no subject: the authority knows whose key it is and sets that itself.
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
