"""Parse public keys strictly from SubjectPublicKeyInfo, and keep the parsed keys in an LRU cache.

Bytes that are not DER, and keys that break a rule, are MalformedKey; a well-formed
SubjectPublicKeyInfo of an algorithm or curve that we do not verify is UnsupportedKey.
signatures/README.md has the rules, key by key.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock

from cachetools import LRUCache, cached
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, mldsa, rsa

from signatures import ed25519, oids
from signatures.algorithms import KeyKind
from signatures.der import INTEGER, SEQUENCE, MalformedDer, Reader
from signatures.gost import verification as gost
from signatures.gost.verification import GostKey

RSA_MIN_BITS = 2048
# Above this, one verification costs as much as hundreds of ordinary ones.
RSA_MAX_BITS = 8192
RSA_MIN_EXPONENT = 3
# Below 2³³, as AWS-LC has it; bounds the work of a verification.
RSA_MAX_EXPONENT_BITS = 33

# Entries of the LRU cache: more than a batch has signers, so that one batch cannot evict its own
# keys. Measured: 1 KB for RSA-4096, 2.5 KB for GOST with its table, 11 KB for ML-DSA-87, hence
# 180 MB at most.
KEY_CACHE_SIZE = 16_384

_DER_NULL = b"\x05\x00"


class MalformedKey(ValueError):
    """A key or certificate that cannot be parsed, or a key that breaks a rule."""


class UnsupportedKey(ValueError):
    """A well-formed key, or a signature algorithm, of a kind that we do not verify."""


@dataclass(frozen=True, slots=True)
class Ed25519Key:
    """An Ed25519 public key whose bytes passed every check."""

    encoded: bytes
    kind: KeyKind = KeyKind.ED25519


@dataclass(frozen=True, slots=True)
class EllipticKey:
    """A key on one of NIST's curves, with the group's order."""

    kind: KeyKind
    order: int
    handle: ec.EllipticCurvePublicKey = field(compare=False)

    @property
    def coordinate_length(self) -> int:
        """Bytes of r and of s in a P1363 signature."""
        return (self.order.bit_length() + 7) // 8


@dataclass(frozen=True, slots=True)
class RsaKey:
    """An RSA public key within the bounds on modulus and exponent."""

    modulus: int
    handle: rsa.RSAPublicKey = field(compare=False)
    kind: KeyKind = KeyKind.RSA

    @property
    def modulus_length(self) -> int:
        """Bytes of the modulus, and of each signature."""
        return (self.modulus.bit_length() + 7) // 8


MlDsaHandle = mldsa.MLDSA44PublicKey | mldsa.MLDSA65PublicKey | mldsa.MLDSA87PublicKey


@dataclass(frozen=True, slots=True)
class MlDsaKey:
    """An ML-DSA public key, and the length of its signatures in bytes."""

    kind: KeyKind
    signature_length: int
    handle: MlDsaHandle = field(compare=False)


PublicKey = Ed25519Key | EllipticKey | RsaKey | MlDsaKey | GostKey


@dataclass(frozen=True, slots=True)
class _Curve:
    """One of NIST's curves (SP 800-186): y² = x³ - 3x + b over p, of prime order."""

    kind: KeyKind
    name: ec.EllipticCurve
    p: int
    order: int


_CURVES = {
    oids.P256: _Curve(
        KeyKind.P256,
        ec.SECP256R1(),
        2**256 - 2**224 + 2**192 + 2**96 - 1,
        0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
    ),
    oids.P384: _Curve(
        KeyKind.P384,
        ec.SECP384R1(),
        2**384 - 2**128 - 2**96 + 2**32 - 1,
        0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973,
    ),
    oids.P521: _Curve(
        KeyKind.P521,
        ec.SECP521R1(),
        2**521 - 1,
        0x01FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFA51868783BF2F966B7FCC0148F709A5D03BB5C9B8899C47AEBB6FB71E91386409,
    ),
}

# FIPS 204, table 2: bytes of a public key and of a signature.
_ML_DSA: dict[str, tuple[KeyKind, int, int, Callable[[bytes], MlDsaHandle]]] = {
    oids.ML_DSA_44: (
        KeyKind.ML_DSA_44,
        1312,
        2420,
        mldsa.MLDSA44PublicKey.from_public_bytes,
    ),
    oids.ML_DSA_65: (
        KeyKind.ML_DSA_65,
        1952,
        3309,
        mldsa.MLDSA65PublicKey.from_public_bytes,
    ),
    oids.ML_DSA_87: (
        KeyKind.ML_DSA_87,
        2592,
        4627,
        mldsa.MLDSA87PublicKey.from_public_bytes,
    ),
}


def _fingerprint(spki: bytes) -> bytes:
    return hashlib.sha256(spki).digest()


@cached(LRUCache(KEY_CACHE_SIZE), key=_fingerprint, lock=Lock())
def load_public_key(spki: bytes) -> PublicKey:
    """Return the key of a SubjectPublicKeyInfo in DER, parsed once. Thread-safe.

    Raises MalformedKey or UnsupportedKey; only keys are cached, not failures.
    """
    try:
        outer = Reader(spki)
        info = outer.sequence()
        outer.end()
        algorithm = info.sequence()
        oid = algorithm.object_identifier()
        parameters = algorithm.rest()
        bits = info.bit_string()
        info.end()
        if oid == oids.ED25519:
            return _ed25519(parameters, bits)
        if oid == oids.EC:
            return _elliptic(parameters, bits)
        if oid == oids.RSA:
            return _rsa(parameters, bits)
        if oid in _ML_DSA:
            return _ml_dsa(oid, parameters, bits)
        if oid in gost.KEY_OIDS:
            return gost.parse_key(oid, parameters, bits)
    except gost.UnsupportedParameters as error:
        raise UnsupportedKey(str(error)) from None
    except MalformedDer as error:
        raise MalformedKey(f"not a SubjectPublicKeyInfo: {error}") from None
    # The older GOST 34.310-2004 of Kazakhstan (1.2.398.3.10.1.1.1.1) is among these.
    raise UnsupportedKey(f"unsupported key algorithm {oid}")


def _ed25519(parameters: bytes, bits: bytes) -> Ed25519Key:
    if parameters or len(bits) != ed25519.KEY_LENGTH or not ed25519.is_key(bits):
        raise MalformedKey("not a canonical Ed25519 point of large order")
    return Ed25519Key(bits)


def _elliptic(parameters: bytes, bits: bytes) -> EllipticKey:
    named = Reader(parameters)
    oid = named.object_identifier()
    named.end()
    curve = _CURVES.get(oid)
    if curve is None:
        raise UnsupportedKey(f"unsupported curve {oid}")
    width = (curve.p.bit_length() + 7) // 8
    lengths = {2: 1 + width, 3: 1 + width, 4: 1 + 2 * width}
    if not bits or lengths.get(bits[0]) != len(bits):
        raise MalformedKey("the point has neither form of SEC 1, section 2.3.3")
    coordinates = [bits[start : start + width] for start in range(1, len(bits), width)]
    if any(int.from_bytes(coordinate, "big") >= curve.p for coordinate in coordinates):
        raise MalformedKey("a coordinate of p or more")
    try:
        handle = ec.EllipticCurvePublicKey.from_encoded_point(curve.name, bits)
    except ValueError:
        raise MalformedKey("the point is not on the curve") from None
    return EllipticKey(curve.kind, curve.order, handle)


def _rsa(parameters: bytes, bits: bytes) -> RsaKey:
    if parameters != _DER_NULL:
        raise MalformedKey("an RSA key with parameters other than NULL (RFC 3279)")
    outer = Reader(bits)
    numbers = outer.sequence()
    outer.end()
    modulus, exponent = numbers.unsigned(), numbers.unsigned()
    numbers.end()
    if not RSA_MIN_BITS <= modulus.bit_length() <= RSA_MAX_BITS or modulus % 2 == 0:
        raise MalformedKey("the modulus is even, or has too few or too many bits")
    if (
        exponent < RSA_MIN_EXPONENT
        or exponent.bit_length() > RSA_MAX_EXPONENT_BITS
        or exponent % 2 == 0
    ):
        raise MalformedKey("the exponent is even, too small or too large")
    return RsaKey(modulus, rsa.RSAPublicNumbers(exponent, modulus).public_key())


def _ml_dsa(oid: str, parameters: bytes, bits: bytes) -> MlDsaKey:
    kind, key_length, signature_length, load = _ML_DSA[oid]
    if parameters or len(bits) != key_length:
        raise MalformedKey("an ML-DSA key of the wrong length, or with parameters")
    try:
        return MlDsaKey(kind, signature_length, load(bits))
    except UnsupportedAlgorithm:
        raise UnsupportedKey("this build of OpenSSL has no ML-DSA") from None


_VERSION_TAG = 0xA0
# issuerUniqueID, subjectUniqueID (either may be constructed only in BER), extensions.
_AFTER_KEY_TAGS = (0x81, 0x82, 0xA3)


def certificate_spki(der: bytes) -> bytes:
    """Return the SubjectPublicKeyInfo of an X.509 certificate in DER. Raises MalformedKey.

    Only the frame is parsed (RFC 5280, section 4.1). Trust is validated elsewhere.
    """
    try:
        outer = Reader(der)
        certificate = outer.sequence()
        outer.end()
        tbs = certificate.sequence()
        certificate.sequence()
        certificate.bit_string()
        certificate.end()
        if tbs.next_tag() == _VERSION_TAG:
            tbs.any()
        tbs.value(INTEGER)
        for _ in ("signature", "issuer", "validity", "subject"):
            tbs.value(SEQUENCE)
        tag, _, spki = tbs.any()
        if tag != SEQUENCE:
            raise MalformedDer("the SubjectPublicKeyInfo is missing")
        last = 0
        while not tbs.at_end():
            tag, _, _ = tbs.any()
            if tag not in _AFTER_KEY_TAGS or tag <= last:
                raise MalformedDer("a field that certificates do not have")
            last = tag
    except MalformedDer as error:
        raise MalformedKey(f"not a certificate: {error}") from None
    return spki
