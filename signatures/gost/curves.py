"""Compute with points on the curves of GOST 34.10-2012, in Weierstrass form.

Sources: RFC 7836, appendix A (A, B and C of 512 bits, A of 256; the twisted Edwards ones by their
Weierstrass form), RFC 4357, section 11.4 (CryptoPro's, which TC26 names 256-bit B, C and D), and
the registry of the NCA RK for its own names of two of them.
"""

from __future__ import annotations

from dataclasses import dataclass

from signatures import oids

Point = tuple[int, int]
# X, Y, Z with x = X/Z², y = Y/Z³; infinity where Z = 0.
_Jacobian = tuple[int, int, int]
_INFINITY: _Jacobian = (1, 1, 0)

# Width of the non-adjacent form (wNAF) of a scalar. 5 keeps a key's table at eight points; 7 would
# need 32 points and be 5 % faster.
_WINDOW = 5


@dataclass(frozen=True, slots=True)
class Curve:
    """y² = x³ + ax + b over p, with a base point of prime order q."""

    name: str
    p: int
    a: int
    b: int
    q: int
    cofactor: int
    base: Point

    @property
    def length(self) -> int:
        """Bytes of a coordinate, of r, and of s."""
        return (self.p.bit_length() + 7) // 8

    def has(self, point: Point) -> bool:
        """Return whether the point is on the curve, its coordinates below p."""
        x, y = point
        return x < self.p and y < self.p and (y * y - (x * x + self.a) * x - self.b) % self.p == 0

    def has_in_group(self, point: Point) -> bool:
        """Return whether the point is on the curve and a multiple of the base point."""
        if not self.has(point):
            return False
        # With cofactor 1, every point of the curve but infinity has order q.
        return self.cofactor == 1 or self.sum_of([(self.q, self.odd_multiples(point))]) is None

    def odd_multiples(self, point: Point) -> list[Point]:
        """Return P, 3P, 5P …, the table that `sum_of` takes.

        Every point of these curves has even or large prime order, so no odd multiple is infinity.
        """
        double = self._affine(self._double((*point, 1)))
        if double is None:
            return [point]
        multiples: list[_Jacobian] = [(*point, 1)]
        while len(multiples) < 2 ** (_WINDOW - 2):
            multiples.append(self._add(multiples[-1], double))
        found = (self._affine(multiple) for multiple in multiples)
        return [affine for affine in found if affine is not None]

    def sum_of(self, terms: list[tuple[int, list[Point]]]) -> Point | None:
        """Return the sum of scalar · point over the terms, None for infinity.

        Points are given by their odd multiples. Terms share the doublings (Straus's trick).
        """
        digits = [(_wnaf(scalar, len(table)), table) for scalar, table in terms]
        total = _INFINITY
        for place in reversed(range(max(len(form) for form, _ in digits))):
            total = self._double(total)
            for form, table in digits:
                digit = form[place] if place < len(form) else 0
                if digit > 0:
                    total = self._add(total, table[digit >> 1])
                elif digit < 0:
                    x, y = table[-digit >> 1]
                    total = self._add(total, (x, self.p - y))
        return self._affine(total)

    def _double(self, point: _Jacobian) -> _Jacobian:
        x, y, z = point
        p = self.p
        square = y * y % p
        s = 4 * x * square % p
        z2 = z * z % p
        m = (3 * x * x + self.a * z2 * z2) % p
        x3 = (m * m - 2 * s) % p
        return x3, (m * (s - x3) - 8 * square * square) % p, 2 * y * z % p

    def _add(self, left: _Jacobian, right: Point) -> _Jacobian:
        x1, y1, z1 = left
        x2, y2 = right
        if z1 == 0:
            return x2, y2, 1
        p = self.p
        z2 = z1 * z1 % p
        h = (x2 * z2 - x1) % p
        r = (y2 * z1 * z2 - y1) % p
        if h == 0:
            return self._double(left) if r == 0 else _INFINITY
        h2 = h * h % p
        h3 = h * h2 % p
        v = x1 * h2 % p
        x3 = (r * r - h3 - 2 * v) % p
        return x3, (r * (v - x3) - y1 * h3) % p, z1 * h % p

    def _affine(self, point: _Jacobian) -> Point | None:
        x, y, z = point
        if z == 0:
            return None
        inverse = pow(z, -1, self.p)
        square = inverse * inverse % self.p
        return x * square % self.p, y * square * inverse % self.p


def _wnaf(scalar: int, table_size: int) -> list[int]:
    """Return the signed digits of `scalar`, lowest first; each is 0, or odd and below 2 · table."""
    span = 4 * table_size
    digits = []
    while scalar:
        digit = 0
        if scalar & 1:
            digit = scalar % span
            if digit >= span >> 1:
                digit -= span
            scalar -= digit
        digits.append(digit)
        scalar >>= 1
    return digits


def _curve(name: str, cofactor: int, *, p: str, a: str, b: str, q: str, x: str, y: str) -> Curve:
    return Curve(
        name,
        int(p, 16),
        int(a, 16),
        int(b, 16),
        int(q, 16),
        cofactor,
        (int(x, 16), int(y, 16)),
    )


TC26_256_A = _curve(
    "id-tc26-gost-3410-2012-256-paramSetA",
    4,
    p="FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFD97",
    a="C2173F1513981673AF4892C23035A27CE25E2013BF95AA33B22C656F277E7335",
    b="295F9BAE7428ED9CCC20E7C359A9D41A22FCCD9108E17BF7BA9337A6F8AE9513",
    q="400000000000000000000000000000000FD8CDDFC87B6635C115AF556C360C67",
    x="91E38443A5E82C0D880923425712B2BB658B9196932E02C78B2582FE742DAA28",
    y="32879423AB1A0375895786C4BB46E9565FDE0B5344766740AF268ADB32322E5C",
)

TC26_256_B = _curve(
    "id-tc26-gost-3410-2012-256-paramSetB",
    1,
    p="FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFD97",
    a="FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFD94",
    b="A6",
    q="FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF6C611070995AD10045841B09B761B893",
    x="1",
    y="8D91E471E0989CDA27DF505A453F2B7635294F2DDF23E3B122ACC99C9E9F1E14",
)

TC26_256_C = _curve(
    "id-tc26-gost-3410-2012-256-paramSetC",
    1,
    p="8000000000000000000000000000000000000000000000000000000000000C99",
    a="8000000000000000000000000000000000000000000000000000000000000C96",
    b="3E1AF419A269A5F866A7D3C25C3DF80AE979259373FF2B182F49D4CE7E1BBC8B",
    q="800000000000000000000000000000015F700CFFF1A624E5E497161BCC8A198F",
    x="1",
    y="3FA8124359F96680B83D1C3EB2C070E5C545C9858D03ECFB744BF8D717717EFC",
)

TC26_256_D = _curve(
    "id-tc26-gost-3410-2012-256-paramSetD",
    1,
    p="9B9F605F5A858107AB1EC85E6B41C8AACF846E86789051D37998F7B9022D759B",
    a="9B9F605F5A858107AB1EC85E6B41C8AACF846E86789051D37998F7B9022D7598",
    b="805A",
    q="9B9F605F5A858107AB1EC85E6B41C8AA582CA3511EDDFB74F02F3A6598980BB9",
    x="0",
    y="41ECE55743711A8C3CBF3783CD08C0EE4D4DC440D4641A8F366E550DFDB3BB67",
)

TC26_512_A = _curve(
    "id-tc26-gost-3410-12-512-paramSetA",
    1,
    p=(
        "FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF"
        "FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFDC7"
    ),
    a=(
        "FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF"
        "FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFDC4"
    ),
    b=(
        "E8C2505DEDFC86DDC1BD0B2B6667F1DA34B82574761CB0E879BD081CFD0B6265"
        "EE3CB090F30D27614CB4574010DA90DD862EF9D4EBEE4761503190785A71C760"
    ),
    q=(
        "FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF"
        "27E69532F48D89116FF22B8D4E0560609B4B38ABFAD2B85DCACDB1411F10B275"
    ),
    x="3",
    y=(
        "7503CFE87A836AE3A61B8816E25450E6CE5E1C93ACF1ABC1778064FDCBEFA921"
        "DF1626BE4FD036E93D75E6A50E3A41E98028FE5FC235F5B889A589CB5215F2A4"
    ),
)

TC26_512_B = _curve(
    "id-tc26-gost-3410-12-512-paramSetB",
    1,
    p=(
        "8000000000000000000000000000000000000000000000000000000000000000"
        "000000000000000000000000000000000000000000000000000000000000006F"
    ),
    a=(
        "8000000000000000000000000000000000000000000000000000000000000000"
        "000000000000000000000000000000000000000000000000000000000000006C"
    ),
    b=(
        "687D1B459DC841457E3E06CF6F5E2517B97C7D614AF138BCBF85DC806C4B289F"
        "3E965D2DB1416D217F8B276FAD1AB69C50F78BEE1FA3106EFB8CCBC7C5140116"
    ),
    q=(
        "8000000000000000000000000000000000000000000000000000000000000001"
        "49A1EC142565A545ACFDB77BD9D40CFA8B996712101BEA0EC6346C54374F25BD"
    ),
    x="2",
    y=(
        "1A8F7EDA389B094C2C071E3647A8940F3C123B697578C213BE6DD9E6C8EC7335"
        "DCB228FD1EDF4A39152CBCAAF8C0398828041055F94CEEEC7E21340780FE41BD"
    ),
)

TC26_512_C = _curve(
    "id-tc26-gost-3410-2012-512-paramSetC",
    4,
    p=(
        "FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF"
        "FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFDC7"
    ),
    a=(
        "DC9203E514A721875485A529D2C722FB187BC8980EB866644DE41C68E1430645"
        "46E861C0E2C9EDD92ADE71F46FCF50FF2AD97F951FDA9F2A2EB6546F39689BD3"
    ),
    b=(
        "B4C4EE28CEBC6C2C8AC12952CF37F16AC7EFB6A9F69F4B57FFDA2E4F0DE5ADE0"
        "38CBC2FFF719D2C18DE0284B8BFEF3B52B8CC7A5F5BF0A3C8D2319A5312557E1"
    ),
    q=(
        "3FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF"
        "C98CDBA46506AB004C33A9FF5147502CC8EDA9E7A769A12694623CEF47F023ED"
    ),
    x=(
        "E2E31EDFC23DE7BDEBE241CE593EF5DE2295B7A9CBAEF021D385F7074CEA043A"
        "A27272A7AE602BF2A7B9033DB9ED3610C6FB85487EAE97AAC5BC7928C1950148"
    ),
    y=(
        "F5CE40D95B5EB899ABBCCFF5911CB8577939804D6527378B8C108C3D2090FF9B"
        "E18E2D33E3021ED2EF32D85822423B6304F726AA854BAE07D0396E9A9ADDC40F"
    ),
)

CURVES_BY_OID = {
    # TC26's names (RFC 9215).
    oids.TC26_CURVE_256_A: TC26_256_A,
    oids.TC26_CURVE_256_B: TC26_256_B,
    oids.TC26_CURVE_256_C: TC26_256_C,
    oids.TC26_CURVE_256_D: TC26_256_D,
    oids.TC26_CURVE_512_A: TC26_512_A,
    oids.TC26_CURVE_512_B: TC26_512_B,
    oids.TC26_CURVE_512_C: TC26_512_C,
    # CryptoPro's: A, B, C, and the two for key exchange, which are A and C (RFC 4357).
    oids.CRYPTOPRO_CURVE_A: TC26_256_B,
    oids.CRYPTOPRO_CURVE_B: TC26_256_C,
    oids.CRYPTOPRO_CURVE_C: TC26_256_D,
    oids.CRYPTOPRO_CURVE_XCHA: TC26_256_B,
    oids.CRYPTOPRO_CURVE_XCHB: TC26_256_D,
    # Kazakhstan's.
    oids.KZ_CURVE_256: TC26_256_A,
    oids.KZ_CURVE_512: TC26_512_A,
}
