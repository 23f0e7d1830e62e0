"""Sign with GOST 34.10-2012 for the benchmarks, insecurely.

The suite only verifies GOST, so it has no signer to use. Secrets and nonces here are successive
numbers, whose points cost one addition each; never use them for anything else.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count

from signatures.der import BIT_STRING, OCTET_STRING, SEQUENCE, encode, encode_oid
from signatures.gost.curves import TC26_256_A, TC26_512_A, Curve, Point
from signatures.gost.streebog import streebog256, streebog512

NONCES = 64


@dataclass(frozen=True, slots=True)
class Family:
    """Keys of one size, under Kazakhstan's names (docs/certificates.md)."""

    curve: Curve
    key_oid: str
    curve_oid: str


BITS_256 = Family(TC26_256_A, "1.2.398.3.10.1.1.2.1", "1.2.398.3.10.1.1.2.1.1")
BITS_512 = Family(TC26_512_A, "1.2.398.3.10.1.1.2.2", "1.2.398.3.10.1.1.2.2.1")


@dataclass(frozen=True, slots=True)
class Key:
    """A secret and its point, with the two methods of a private key that Keyring uses."""

    family: Family
    secret: int
    point: Point

    def public_key(self) -> Key:
        return self

    def public_bytes(self, *_: object) -> bytes:
        """Return the SubjectPublicKeyInfo, DER."""
        names = encode_oid(self.family.curve_oid)
        algorithm = encode_oid(self.family.key_oid) + encode(SEQUENCE, names)
        point = encode(OCTET_STRING, _little(self.family.curve, *self.point))
        return encode(SEQUENCE, encode(SEQUENCE, algorithm) + encode(BIT_STRING, b"\0" + point))


class Keys:
    """Generates keys of a family, and signs with them (RFC 7091, section 6.1)."""

    def __init__(self, family: Family) -> None:
        self._family = family
        self._lock = threading.Lock()
        self._new = _multiples(family.curve)
        self._nonces = [next(self._new) for _ in range(NONCES)]

    def generate(self) -> Key:
        """Generate a key. Thread-safe."""
        with self._lock:
            secret, point = next(self._new)
        return Key(self._family, secret, point)

    def sign(self, key: Key, message: bytes) -> bytes:
        """Sign; return r and s little-endian, as Kazakhstan encodes them."""
        curve = self._family.curve
        digest = streebog256(message) if curve.length == 32 else streebog512(message)
        e = int.from_bytes(digest, "little") % curve.q or 1
        nonce, (x, _) = self._nonces[e % NONCES]
        r = x % curve.q
        return _little(curve, r, (r * key.secret + nonce * e) % curve.q)


def _multiples(curve: Curve) -> Iterator[tuple[int, Point]]:
    """Yield the numbers from 2 on, each with that multiple of the base point."""
    base = [curve.base]
    point = curve.sum_of([(2, base)])
    for number in count(2):
        assert point is not None  # noqa: S101 - far below the order
        yield number, point
        point = curve.sum_of([(1, [point]), (1, base)])


def _little(curve: Curve, first: int, second: int) -> bytes:
    return first.to_bytes(curve.length, "little") + second.to_bytes(curve.length, "little")
