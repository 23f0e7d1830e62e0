"""Parse GOST 34.10-2012 keys and verify signatures, in the encodings of Kazakhstan and of TC26.

Both encode the public key alike: x‖y, little-endian, in an OCTET STRING. A signature is r‖s,
little-endian, under Kazakhstan's OIDs, and s‖r, big-endian, under TC26's (RFC 9215): the same bytes
in reverse. The digest is read little-endian, as Streebog returns it.
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
    """A GOST key's parameters name an unknown curve or hash, or one of another size."""


@dataclass(frozen=True, slots=True)
class GostKey:
    """A point of its curve's group, and the encoding of its signatures."""

    curve: Curve
    point: Point
    kazakh: bool
    # The point's odd multiples, which every verification needs.
    multiples: list[Point] = field(compare=False, repr=False)

    @property
    def kind(self) -> KeyKind:
        """The kind that an algorithm names."""
        return KeyKind.GOST_256 if self.curve.length == 32 else KeyKind.GOST_512


def parse_key(oid: str, parameters: bytes, bits: bytes) -> GostKey:
    """Parse the key of a SubjectPublicKeyInfo whose OID is in KEY_OIDS.

    Raises MalformedDer if it cannot be parsed or the point is not in the group, and
    UnsupportedParameters for an unknown curve or hash, or one of another size.
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
        raise UnsupportedParameters(f"unsupported curve {curve_oid} for keys of {oid}")
    if digest_oid is not None and digest_oid not in _DIGEST_OIDS[length]:
        raise UnsupportedParameters(f"unsupported hash {digest_oid} for keys of {oid}")
    key = Reader(bits)
    encoded = key.value(OCTET_STRING)
    key.end()
    if len(encoded) != 2 * length:
        raise MalformedDer("the point does not have two coordinates")
    point = (
        int.from_bytes(encoded[:length], "little"),
        int.from_bytes(encoded[length:], "little"),
    )
    if not curve.has_in_group(point):
        raise MalformedDer("the point is not in the curve's group")
    return GostKey(curve, point, kazakh, curve.odd_multiples(point))


def split_signature(key: GostKey, signature: bytes) -> tuple[int, int] | None:
    """Return r and s, both in [1, q-1], or None if the bytes are malformed."""
    length = key.curve.length
    if len(signature) != 2 * length:
        return None
    ordered = signature if key.kazakh else signature[::-1]
    r = int.from_bytes(ordered[:length], "little")
    s = int.from_bytes(ordered[length:], "little")
    return (r, s) if 1 <= r < key.curve.q and 1 <= s < key.curve.q else None


def digest_of(hash_: Hash, message: bytes) -> bytes:
    """Return the message's Streebog digest."""
    return (streebog256 if hash_ is Hash.STREEBOG256 else streebog512)(message)


def holds(key: GostKey, digest: bytes, r: int, s: int) -> bool:
    """Return whether (r, s) signs a message with this digest (RFC 7091, section 6.2)."""
    curve = key.curve
    # RFC 7091: e = 0 counts as 1, so that it has an inverse.
    e = int.from_bytes(digest, "little") % curve.q or 1
    v = pow(e, -1, curve.q)
    point = curve.sum_of(
        [(s * v % curve.q, _base_multiples(curve)), (-r * v % curve.q, key.multiples)]
    )
    return point is not None and point[0] % curve.q == r


@cache
def _base_multiples(curve: Curve) -> list[Point]:
    return curve.odd_multiples(curve.base)
