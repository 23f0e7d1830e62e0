"""ECDSA's and GOST's signatures whose sum u₁G + u₂Q is chosen: the edges of each group law.

The next secret is the last one plus 1, and so is the next nonce: a key or a signature for the price
of one affine addition.
"""

from __future__ import annotations

from abc import abstractmethod
from random import Random

from signatures import der
from signatures.algorithms import SCHEMES, Algorithm
from signatures.gost.curves import CURVES_BY_OID, Curve, Point
from tests.properties.forge import DIGESTS, any_spki
from tests.properties.kinds import KNOWN_KEYS, Item, Kind
from tests.unit.signatures.builders import NIST_OIDS, dss


class Weierstrass(Kind):
    """ECDSA or GOST on one curve."""

    algorithms: tuple[Algorithm, ...]

    def __init__(self, name: str, random: Random, curve: Curve) -> None:
        super().__init__(name, random)
        self.curve = curve
        self._base = curve.odd_multiples(curve.base)
        self._secret, self._nonce = self._scalar(), self._scalar()
        self._point, self._shared = self._times(self._secret), self._times(self._nonce)
        # The base point, its opposite and small multiples among them.
        secrets = [1, curve.q - 1, 2, curve.q - 2, 3, 5]
        secrets += [self._scalar() for _ in range(KNOWN_KEYS - len(secrets))]
        self._keys = [(secret, self.spki(self._times(secret))) for secret in secrets]
        digest_of = DIGESTS[SCHEMES[self.algorithms[0]].hash]
        messages = [random.randbytes(random.choice((0, 63, 64, 256))) for _ in range(16)]
        self._messages = [(message, digest_of(message)) for message in messages]
        # With keys of their own, which have to come as often as others.
        self._above = [self._wrapped() for _ in range(3)] if self._has_wrapped() else []

    @abstractmethod
    def spki(self, point: Point) -> bytes:
        """Return the key's SubjectPublicKeyInfo."""

    @abstractmethod
    def written(self, algorithm: Algorithm, r: int, s: int) -> bytes:
        """Return the signature's bytes."""

    @abstractmethod
    def number(self, digest: bytes) -> int:
        """Return e, the digest as the scheme's number."""

    @abstractmethod
    def signed(self, e: int, secret: int, nonce: int, r: int) -> int:
        """Return s."""

    @abstractmethod
    def solved(self, e: int, r: int, u1: int) -> tuple[int, int]:
        """Return the s and u₂ that go with this u₁."""

    @abstractmethod
    def solved_for(self, r: int, u1: int, u2: int) -> tuple[int, bytes]:
        """Return s and the digest that go with this u₁ and u₂; no bytes if no digest is e."""

    def known(self) -> Item:
        if self._above and self.random.random() < 0.1:
            return self.random.choice(self._above)
        return self._sign(*self.random.choice(self._keys))

    def of_each_key(self) -> list[Item]:
        """Return a signature that holds by each key that comes again."""
        return [self._sign(*key) for key in self._keys] + self._above

    def new(self) -> Item:
        self._secret, self._point = self._stepped(self._secret, self._point)
        return self._sign(self._secret, self.spki(self._point))

    def hostile(self) -> Item:
        makers = (self._equal, self._opposite, self._small, self._of_zeros)
        return self.random.choice((self._wrong, *makers))()

    def _scalar(self) -> int:
        return self.random.randrange(1, self.curve.q)

    def _edge(self) -> int:
        """Return a scalar with few bits, few zeros, or few of either at a window's border."""
        random, q = self.random, self.curve.q
        number = random.choice((0, 1 << random.randrange(q.bit_length() - 1)))
        number += random.choice((0, 1, 2, 3, 5, 31, 257))
        return random.choice((number, q - number)) % q or 1

    def _times(self, scalar: int) -> Point:
        point = self.curve.sum_of([(scalar, self._base)])
        assert point is not None
        return point

    def _stepped(self, scalar: int, point: Point) -> tuple[int, Point]:
        (x1, y1), (x2, y2), p = point, self.curve.base, self.curve.p
        if x1 == x2:
            scalar = self._scalar()
            return scalar, self._times(scalar)
        slope = (y2 - y1) * pow(x2 - x1, -1, p) % p
        x = (slope * slope - x1 - x2) % p
        return scalar + 1, (x, (slope * (x1 - x) - y1) % p)

    def _item(self, spki: bytes, digest: bytes, r: int, s: int) -> Item:
        algorithm = self.random.choice(self.algorithms)
        return Item(spki, algorithm, digest, True, self.written(algorithm, r, s))

    def _sign(self, secret: int, spki: bytes, digest: bytes | None = None) -> Item:
        self._nonce, self._shared = self._stepped(self._nonce, self._shared)
        r = self._shared[0] % self.curve.q
        message, its_digest = self.random.choice(self._messages)
        s = self.signed(self.number(digest or its_digest), secret, self._nonce, r)
        item = self._item(spki, digest or its_digest, r, s)
        if digest is not None or self.random.random() < 0.3:
            return item
        return Item(spki, item.algorithm, message, False, item.signature)

    def _digest(self) -> bytes:
        return self.random.choice(self._messages)[1]

    def _wrong(self) -> Item:
        """A well-formed signature that does not hold."""
        random, q = self.random, self.curve.q
        secret, spki = random.choice(self._keys)
        right = self._sign(secret, spki, self._digest())
        if random.random() < 0.5:
            flipped = bytearray(right.payload)
            flipped[random.randrange(len(flipped))] ^= 1 << random.randrange(8)
            return Item(spki, right.algorithm, bytes(flipped), True, right.signature)
        return self._item(spki, right.payload, self._scalar(), random.choice((1, q - 1, q // 2)))

    def _equal(self) -> Item:
        """u₂Q = u₁G, so that the last addition is a doubling; it holds."""
        u1 = self._edge()
        return self._summed(u1, 2 * u1)

    def _opposite(self) -> Item:
        """u₂Q = -u₁G: the sum is infinity, which signs nothing."""
        return self._summed(self._edge(), 0)

    def _small(self) -> Item:
        """A chosen sum wG and a chosen u₁, both at an edge; it holds."""
        return self._summed(self._edge(), self._edge())

    def _summed(self, u1: int, w: int) -> Item:
        """u₁G + u₂Q = wG for a known key if some digest leads there, else for a key of its own."""
        q, w = self.curve.q, w % self.curve.q
        if u1 == w:
            return self._wrong()
        r = self._times(w)[0] % q if w else self._scalar()
        if r == 0:
            return self._wrong()
        secret, spki = self.random.choice(self._keys)
        s, digest = self.solved_for(r, u1, (w - u1) * pow(secret, -1, q) % q)
        if digest:
            return self._item(spki, digest, r, s)
        digest = self._digest()
        s, u2 = self.solved(self.number(digest), r, u1)
        own = self._times((w - u1) * pow(u2, -1, q) % q)
        return self._item(self.spki(own), digest, r, s)

    def _has_wrapped(self) -> bool:
        """Whether some x of the curve is above the order, and `_root` can find its y."""
        curve = self.curve
        return curve.q + 1000 < curve.p and curve.p % 4 == 3 and curve.cofactor == 1

    def _wrapped(self) -> Item:
        """The sum's x is r + n, above the order; it holds."""
        curve = self.curve
        digest, u1 = self._digest(), self._edge()
        x = curve.q + self.random.randrange(1, 1000)
        while not curve.has((x, y := self._root(x))):
            x += 1
        r = x - curve.q
        s, u2 = self.solved(self.number(digest), r, u1)
        inverse, sum_of = pow(u2, -1, curve.q), curve.odd_multiples((x, y))
        key = curve.sum_of([(inverse, sum_of), (-u1 * inverse % curve.q, self._base)])
        assert key is not None
        return self._item(self.spki(key), digest, r, s)

    def _root(self, x: int) -> int:
        curve = self.curve
        return pow(x**3 + curve.a * x + curve.b, (curve.p + 1) // 4, curve.p)

    def _of_zeros(self) -> Item:
        """A digest of zeros: u₁ = 0 under ECDSA, e = 1 under GOST. It holds."""
        return self._sign(*self.random.choice(self._keys), digest=bytes(len(self._digest())))


def _nist(bits: int, p: int, *, b: str, q: str, x: str, y: str) -> Curve:
    numbers = [int(number, 16) for number in (b, q, x, y)]
    return Curve(f"P-{bits}", p, p - 3, numbers[0], numbers[1], 1, (numbers[2], numbers[3]))


# SP 800-186, section 3.2.1.
NIST_CURVES = {
    256: _nist(
        256,
        2**256 - 2**224 + 2**192 + 2**96 - 1,
        b="5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B",
        q="FFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551",
        x="6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296",
        y="4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5",
    ),
    384: _nist(
        384,
        2**384 - 2**128 - 2**96 + 2**32 - 1,
        b=(
            "B3312FA7E23EE7E4988E056BE3F82D19181D9C6EFE814112"
            "0314088F5013875AC656398D8A2ED19D2A85C8EDD3EC2AEF"
        ),
        q=(
            "FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF"
            "C7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973"
        ),
        x=(
            "AA87CA22BE8B05378EB1C71EF320AD746E1D3B628BA79B98"
            "59F741E082542A385502F25DBF55296C3A545E3872760AB7"
        ),
        y=(
            "3617DE4A96262C6F5D9E98BF9292DC29F8F41DBD289A147C"
            "E9DA3113B5F0B8C00A60B1CE1D7E819D7A431D7C90EA0E5F"
        ),
    ),
    521: _nist(
        521,
        2**521 - 1,
        b=(
            "0051953EB9618E1C9A1F929A21A0B68540EEA2DA725B99B315F3B8B489918EF109"
            "E156193951EC7E937B1652C0BD3BB1BF073573DF883D2C34F1EF451FD46B503F00"
        ),
        q=(
            "01FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF"
            "FA51868783BF2F966B7FCC0148F709A5D03BB5C9B8899C47AEBB6FB71E91386409"
        ),
        x=(
            "00C6858E06B70404E9CD9E3ECB662395B4429C648139053FB521F828AF606B4D3D"
            "BAA14B5E77EFE75928FE1DC127A2FFA8DE3348B3C1856A429BF97E7E31C2E5BD66"
        ),
        y=(
            "011839296A789A3BC0045C8A5FB42C7D1BD998F54449579B446817AFBD17273E66"
            "2C97EE72995EF42640C550B9013FAD0761353C7086A272C24088BE94769FD16650"
        ),
    ),
}


class Ecdsa(Weierstrass):
    """FIPS 186-5, section 6.4."""

    def __init__(self, random: Random, bits: int) -> None:
        self._bits = bits
        der_algorithm = {256: 2, 384: 3, 521: 4}[bits]
        self.algorithms = Algorithm(der_algorithm), Algorithm(der_algorithm + 3)
        super().__init__(f"P-{bits}", random, NIST_CURVES[bits])

    def spki(self, point: Point) -> bytes:
        names = der.encode_oid("1.2.840.10045.2.1") + der.encode_oid(NIST_OIDS[self._bits])
        written = b"".join(number.to_bytes(self.curve.length, "big") for number in point)
        return any_spki(names, b"\4" + written)

    def written(self, algorithm: Algorithm, r: int, s: int) -> bytes:
        if algorithm == self.algorithms[0]:
            return dss(r, s)
        return b"".join(number.to_bytes(self.curve.length, "big") for number in (r, s))

    def number(self, digest: bytes) -> int:
        return int.from_bytes(digest, "big")

    def signed(self, e: int, secret: int, nonce: int, r: int) -> int:
        return (e + r * secret) * pow(nonce, -1, self.curve.q) % self.curve.q

    def solved(self, e: int, r: int, u1: int) -> tuple[int, int]:
        q = self.curve.q
        return e * pow(u1, -1, q) % q, r * u1 * pow(e, -1, q) % q

    def solved_for(self, r: int, u1: int, u2: int) -> tuple[int, bytes]:
        q = self.curve.q
        s = r * pow(u2, -1, q) % q
        e, size = u1 * s % q, len(self._digest())
        # P-521's order is longer than its digest.
        return s, e.to_bytes(size, "big") if e < 256**size else b""


class Gost(Weierstrass):
    """RFC 7091, section 6, under Kazakhstan's identifiers or TC26's."""

    def __init__(self, random: Random, oid: str, is_kazakh: bool) -> None:
        self._oid, self._is_kazakh = oid, is_kazakh
        curve = CURVES_BY_OID[oid]
        self._arc = 1 if curve.length == 32 else 2
        algorithms = Algorithm.GOST3410_2012_256, Algorithm.GOST3410_2012_512
        self.algorithms = (algorithms[self._arc - 1],)
        writing = "Kazakhstan's" if is_kazakh else "TC26's"
        super().__init__(f"GOST, {oid}, {writing}", random, curve)

    def spki(self, point: Point) -> bytes:
        arc = "1.2.398.3.10.1.1.2" if self._is_kazakh else "1.2.643.7.1.1.1"
        names = der.encode(der.SEQUENCE, der.encode_oid(self._oid))
        written = b"".join(number.to_bytes(self.curve.length, "little") for number in point)
        identifier = der.encode_oid(f"{arc}.{self._arc}") + names
        return any_spki(identifier, der.encode(der.OCTET_STRING, written))

    def written(self, algorithm: Algorithm, r: int, s: int) -> bytes:
        width = self.curve.length
        both = r.to_bytes(width, "little") + s.to_bytes(width, "little")
        return both if self._is_kazakh else both[::-1]

    def number(self, digest: bytes) -> int:
        return int.from_bytes(digest, "little") % self.curve.q or 1

    def signed(self, e: int, secret: int, nonce: int, r: int) -> int:
        return (r * secret + nonce * e) % self.curve.q

    def solved(self, e: int, r: int, u1: int) -> tuple[int, int]:
        q = self.curve.q
        return u1 * e % q, -r * pow(e, -1, q) % q

    def solved_for(self, r: int, u1: int, u2: int) -> tuple[int, bytes]:
        q = self.curve.q
        e = -r * pow(u2, -1, q) % q
        return u1 * e % q, e.to_bytes(self.curve.length, "little")
