"""Keys and signatures of GOST 34.10-2012, by the encodings of Kazakhstan and of TC26.

The public key is the same under both: x‖y, little-endian, in an OCTET STRING. A signature is r‖s,
little-endian, under Kazakhstan's OIDs, and s‖r, big-endian, under TC26's (RFC 9215): the one is
the other's bytes in reverse. The digest is read little-endian as Streebog gives it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache

from signatures import oids
from signatures.algorithms import Hash, KeyKind
from signatures.der import OCTET_STRING, MalformedDer, Reader
from signatures.gost.curves import CURVES_BY_OID, Curve, Point
from signatures.gost.streebog import streebog256, streebog512

# The key's OID: the bytes of a coordinate, and whether Kazakhstan's encoding is meant.
KEY_OIDS = {
    oids.TC26_GOST_256: (32, False),
    oids.TC26_GOST_512: (64, False),
    oids.KZ_GOST_256: (32, True),
    oids.KZ_GOST_512: (64, True),
}
_DIGEST_OIDS = {
    32: (oids.TC26_STREEBOG256, oids.KZ_STREEBOG256),
    64: (oids.TC26_STREEBOG512, oids.KZ_STREEBOG512),
}


class UnsupportedParameters(ValueError):
    """Parameters of a GOST key that name another curve or hash than we know."""


@dataclass(frozen=True, slots=True)
class GostKey:
    """A point of its curve's group, and how its signatures are written."""

    curve: Curve
    point: Point
    kazakh: bool
    # The point's odd multiples, which every verification wants.
    multiples: list[Point] = field(compare=False, repr=False)

    @property
    def kind(self) -> KeyKind:
        """What an algorithm may ask for."""
        return KeyKind.GOST_256 if self.curve.length == 32 else KeyKind.GOST_512


def parse_key(oid: str, parameters: bytes, bits: bytes) -> GostKey:
    """The key of a SubjectPublicKeyInfo whose OID is in KEY_OIDS.

    Raises MalformedDer where it cannot be read or its point is none, UnsupportedParameters where
    it names a curve of another length, or unknown.
    """
    length, kazakh = KEY_OIDS[oid]
    outer = Reader(parameters)
    names = outer.sequence()
    outer.end()
    curve_oid = names.object_identifier()
    digest_oid = None if names.at_end() else names.object_identifier()
    names.end()
    curve = CURVES_BY_OID.get(curve_oid)
    if curve is None or curve.length != length:
        raise UnsupportedParameters(f"the parameters {curve_oid} are not for keys of {oid}")
    if digest_oid is not None and digest_oid not in _DIGEST_OIDS[length]:
        raise UnsupportedParameters(f"the hash {digest_oid} is not for keys of {oid}")
    key = Reader(bits)
    encoded = key.value(OCTET_STRING)
    key.end()
    if len(encoded) != 2 * length:
        raise MalformedDer("the point is not of two coordinates")
    point = (
        int.from_bytes(encoded[:length], "little"),
        int.from_bytes(encoded[length:], "little"),
    )
    if not curve.has_in_group(point):
        raise MalformedDer("the point is not of the curve's group")
    return GostKey(curve, point, kazakh, curve.odd_multiples(point))


def split_signature(key: GostKey, signature: bytes) -> tuple[int, int] | None:
    """r and s, both in [1, q-1], or None where the bytes are no signature."""
    length = key.curve.length
    if len(signature) != 2 * length:
        return None
    ordered = signature if key.kazakh else signature[::-1]
    r = int.from_bytes(ordered[:length], "little")
    s = int.from_bytes(ordered[length:], "little")
    return (r, s) if 1 <= r < key.curve.q and 1 <= s < key.curve.q else None


def digest_of(hash_: Hash, message: bytes) -> bytes:
    """The message's Streebog digest."""
    return (streebog256 if hash_ is Hash.STREEBOG256 else streebog512)(message)


def holds(key: GostKey, digest: bytes, r: int, s: int) -> bool:
    """Whether the signature is of a message with this digest (RFC 7091, section 6.2)."""
    curve = key.curve
    # 0 stands for 1, so that e has an inverse.
    e = int.from_bytes(digest, "little") % curve.q or 1
    v = pow(e, -1, curve.q)
    point = curve.sum_of(
        [(s * v % curve.q, _base_multiples(curve)), (-r * v % curve.q, key.multiples)]
    )
    return point is not None and point[0] % curve.q == r


@cache
def _base_multiples(curve: Curve) -> list[Point]:
    return curve.odd_multiples(curve.base)
