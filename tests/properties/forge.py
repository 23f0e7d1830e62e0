"""Requests for verification, right ones and wrong ones, made to set two backends at odds.

A `Forge` starts from signatures that hold, Ed25519 ones whose key and R carry torsion among them,
and breaks keys, signatures, messages, digests, algorithms and the request's own bytes, each alone
and several at once. What it makes follows from the random numbers that it is given and from the
keys of the session.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from random import Random
from typing import cast

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, mldsa, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from qagazsyz.signing.v1 import verification_pb2
from signatures import der
from signatures.algorithms import SCHEMES, Algorithm, Hash, KeyKind
from signatures.ed25519 import L, P
from signatures.gost.curves import CURVES_BY_OID
from signatures.gost.streebog import streebog256, streebog512
from signatures.oids import RSA
from tests.unit.signatures.builders import contract_algorithm

# What one request may hold. Signatures of large batches go through other code than a few.
BATCH_SIZES = (1, 1, 2, 3, 5, 9, 17, 40, 150, 400)
SLOW_BATCH_SIZES = (1, 2, 5, 17, 40)
SLOW_KINDS = (KeyKind.GOST_256, KeyKind.GOST_512)
SIGNATURES_OF_EACH = 6

HASHES = {32: hashes.SHA256(), 48: hashes.SHA384(), 64: hashes.SHA512()}
DIGESTS: dict[Hash | None, Callable[[bytes], bytes]] = {
    None: lambda message: hashlib.sha256(message).digest(),
    Hash.SHA256: lambda message: hashlib.sha256(message).digest(),
    Hash.SHA384: lambda message: hashlib.sha384(message).digest(),
    Hash.SHA512: lambda message: hashlib.sha512(message).digest(),
    Hash.STREEBOG256: streebog256,
    Hash.STREEBOG512: streebog512,
}


@dataclass(frozen=True, slots=True)
class Sample:
    """A signature that holds, and all that its verification needs."""

    spki: bytes
    algorithm: Algorithm
    message: bytes
    signature: bytes

    @property
    def digest(self) -> bytes:
        """The message's digest, or its SHA-256 where the algorithm signs no digest."""
        return DIGESTS[SCHEMES[self.algorithm].hash](self.message)


# Ed25519 with torsion: curve arithmetic in affine coordinates, slow and short.
_D = -121665 * pow(121666, -1, P) % P
EDWARDS_BASE = (
    15112221349535400772501151409588531511454012693041857206046113283949847762202,
    46316835694926478169428394003475163141307993866256225615783033603165251855960,
)
Point = tuple[int, int]


def add_points(a: Point, b: Point) -> Point:
    (x1, y1), (x2, y2) = a, b
    t = _D * x1 * x2 * y1 * y2
    x = (x1 * y2 + x2 * y1) * pow(1 + t, -1, P) % P
    return x, (y1 * y2 + x1 * x2) * pow(1 - t, -1, P) % P


def multiply_point(point: Point, scalar: int) -> Point:
    product = (0, 1)
    for bit in bin(scalar)[2:]:
        product = add_points(product, product)
        if bit == "1":
            product = add_points(product, point)
    return product


def encode_point(point: Point) -> bytes:
    return (point[1] | (point[0] & 1) << 255).to_bytes(32, "little")


@cache
def torsion() -> tuple[Point, ...]:
    """The eight points of small order: the multiples of one of order 8."""
    for y in range(2, 100):
        square = (y * y - 1) * pow(_D * y * y + 1, -1, P) % P
        x = pow(square, (P + 3) // 8, P)
        for root in (x, x * pow(2, (P - 1) // 4, P) % P):
            point = multiply_point((root, y), L)
            if root * root % P == square and multiply_point(point, 4) != (0, 1):
                return tuple(multiply_point(point, number) for number in range(8))
    raise AssertionError("one point in two has a part of order 8")


@cache
def odd_encodings() -> tuple[bytes, ...]:
    """Encodings of points that are of small order, not canonical, or on no curve."""
    small = [encode_point(point) for point in torsion()]
    not_canonical = [
        (y | sign << 255).to_bytes(32, "little")
        for y in (0, 1, 2, 3, 5, P - 1, P, P + 1, P + 2, P + 3, P + 18)
        for sign in (0, 1)
    ]
    return (*small, *not_canonical, b"\xff" * 32)


def any_spki(identifier: bytes, key: bytes) -> bytes:
    algorithm = der.encode(der.SEQUENCE, identifier)
    return der.encode(der.SEQUENCE, algorithm + der.encode(der.BIT_STRING, b"\0" + key))


def ed25519_spki(key: bytes) -> bytes:
    """The SubjectPublicKeyInfo of these 32 bytes, a point or not."""
    return any_spki(der.encode_oid("1.3.101.112"), key)


def _ed25519_samples(random: Random) -> list[Sample]:
    samples = []
    for number in range(4):
        secret = random.randrange(1, L)
        point = multiply_point(EDWARDS_BASE, secret)
        # The first key has no torsion, nor have half of its signatures.
        key = encode_point(add_points(point, torsion()[random.randrange(8) if number else 0]))
        for _ in range(SIGNATURES_OF_EACH):
            nonce, message = random.randrange(L), random.randbytes(random.choice((0, 5, 256)))
            twist = torsion()[random.randrange(8) if random.random() < 0.5 else 0]
            r = encode_point(add_points(multiply_point(EDWARDS_BASE, nonce), twist))
            k = int.from_bytes(hashlib.sha512(r + key + message).digest(), "little")
            s = (nonce + k * secret) % L
            signature = r + s.to_bytes(32, "little")
            samples.append(Sample(ed25519_spki(key), Algorithm.ED25519, message, signature))
    return samples


def public_spki(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | MlDsaPrivate) -> bytes:
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


MlDsaPrivate = mldsa.MLDSA44PrivateKey | mldsa.MLDSA65PrivateKey | mldsa.MLDSA87PrivateKey


def ecdsa_samples(random: Random, curve: ec.EllipticCurve, first: int, size: int) -> list[Sample]:
    samples = []
    for compressed in (False, True):
        key = ec.generate_private_key(curve)
        spki = public_spki(key)
        if compressed:
            point = key.public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
            algorithm = der.Reader(der.Reader(spki).sequence().value(der.SEQUENCE)).rest()
            spki = any_spki(algorithm, point)
        for _ in range(SIGNATURES_OF_EACH):
            message = random.randbytes(random.choice((0, 256)))
            signature = key.sign(message, ec.ECDSA(HASHES[size]))
            samples.append(Sample(spki, Algorithm(first), message, signature))
            r, s = decode_dss_signature(signature)
            width = (curve.key_size + 7) // 8
            pair = r.to_bytes(width, "big") + s.to_bytes(width, "big")
            samples.append(Sample(spki, Algorithm(first + 3), message, pair))
    return samples


def _rsa_samples(random: Random, bits: int, exponent: int) -> list[Sample]:
    key = rsa.generate_private_key(exponent, bits)
    samples = []
    for place, (size, name) in enumerate(HASHES.items()):
        for _ in range(SIGNATURES_OF_EACH // 3):
            message = random.randbytes(random.choice((0, 256)))
            digest = hashlib.new(name.name, message).digest()
            pss = padding.PSS(padding.MGF1(name), size)
            for first, form in ((8, padding.PKCS1v15()), (11, pss)):
                signature = key.sign(digest, form, Prehashed(name))
                samples.append(
                    Sample(public_spki(key), Algorithm(first + place), message, signature)
                )
    # Another salt length, which is refused.
    for salt in (0, 20, 64):
        form = padding.PSS(padding.MGF1(hashes.SHA256()), salt)
        signature = key.sign(b"salt", form, hashes.SHA256())
        samples.append(Sample(public_spki(key), Algorithm.RSA_PSS_SHA256, b"salt", signature))
    return samples


def _ml_dsa_samples(random: Random) -> list[Sample]:
    keys: tuple[
        mldsa.MLDSA44PrivateKey | mldsa.MLDSA65PrivateKey | mldsa.MLDSA87PrivateKey, ...
    ] = (
        mldsa.MLDSA44PrivateKey.generate(),
        mldsa.MLDSA65PrivateKey.generate(),
        mldsa.MLDSA87PrivateKey.generate(),
    )
    samples = []
    for place, key in enumerate(keys):
        for _ in range(2):
            message = random.randbytes(100)
            algorithm = Algorithm(Algorithm.ML_DSA_44 + place)
            samples.append(Sample(public_spki(key), algorithm, message, key.sign(message)))
    return samples


def gost_samples(random: Random, curve_oid: str) -> list[Sample]:
    curve = CURVES_BY_OID[curve_oid]
    width, bits = curve.length, 8 * curve.length
    algorithm = Algorithm.GOST3410_2012_256 if bits == 256 else Algorithm.GOST3410_2012_512
    digest_of = DIGESTS[SCHEMES[algorithm].hash]
    base, samples = curve.odd_multiples(curve.base), []
    for kazakh in (False, True):
        arc = "12"[bits == 512]
        key_oid = f"1.2.398.3.10.1.1.2.{arc}" if kazakh else f"1.2.643.7.1.1.1.{arc}"
        digest_arc = "23"[bits == 512]
        digest_oid = f"1.2.398.3.10.1.3.{digest_arc}" if kazakh else f"1.2.643.7.1.1.2.{digest_arc}"
        names = der.encode_oid(curve_oid)
        names += random.choice((b"", der.encode_oid(digest_oid)))
        secret = random.randrange(1, curve.q)
        point = curve.sum_of([(secret, base)])
        assert point is not None
        encoded = b"".join(coordinate.to_bytes(width, "little") for coordinate in point)
        identifier = der.encode_oid(key_oid) + der.encode(der.SEQUENCE, names)
        spki = any_spki(identifier, der.encode(der.OCTET_STRING, encoded))
        for _ in range(4):
            message, nonce = random.randbytes(random.choice((0, 63, 64))), random.randrange(curve.q)
            e = int.from_bytes(digest_of(message), "little") % curve.q or 1
            shared = curve.sum_of([(nonce, base)])
            assert shared is not None
            r = shared[0] % curve.q
            s = (r * secret + nonce * e) % curve.q
            written = r.to_bytes(width, "little") + s.to_bytes(width, "little")
            signature = written if kazakh else written[::-1]
            samples.append(Sample(spki, algorithm, message, signature))
    return samples


@cache
def samples() -> dict[KeyKind, list[Sample]]:
    """Signatures that hold, by the kind of their key; made once."""
    random = Random(0)
    grouped: dict[KeyKind, list[Sample]] = {}
    for sample in (
        *_ed25519_samples(random),
        *ecdsa_samples(random, ec.SECP256R1(), 2, 32),
        *ecdsa_samples(random, ec.SECP384R1(), 3, 48),
        *ecdsa_samples(random, ec.SECP521R1(), 4, 64),
        *_rsa_samples(random, 2048, 65537),
        *_rsa_samples(random, 3072, 65537),
        *_rsa_samples(random, 2056, 3),
        *_ml_dsa_samples(random),
        *(sample for oid in CURVES_BY_OID for sample in gost_samples(random, oid)),
    ):
        grouped.setdefault(SCHEMES[sample.algorithm].key, []).append(sample)
    return grouped


def certificate(spki: bytes, tail: bytes = b"") -> bytes:
    """The frame of a certificate around a key, empty but for that."""
    empty = der.encode(der.SEQUENCE, b"")
    version = der.encode(0xA0, der.encode(der.INTEGER, b"\2"))
    serial = der.encode(der.INTEGER, b"\1")
    tbs = der.encode(der.SEQUENCE, version + serial + 4 * empty + spki + tail)
    return der.encode(der.SEQUENCE, tbs + empty + der.encode(der.BIT_STRING, b"\0"))


class Forge:
    """Makes requests out of one source of random numbers."""

    def __init__(self, random: Random) -> None:
        self._random = random

    def bend(self, data: bytes) -> bytes:
        """The same bytes with one thing wrong."""
        random, bent = self._random, bytearray(data)
        if not bent:
            return random.randbytes(1)
        place = random.randrange(len(bent))
        match random.randrange(8):
            case 0:
                bent[place] = random.choice((0, 1, 0x7F, 0x80, 0xFF, random.randrange(256)))
            case 1:
                del bent[place]
            case 2:
                bent.insert(place, random.choice((0, 0x80, random.randrange(256))))
            case 3:
                del bent[place:]
            case 4:
                bent += random.randbytes(random.choice((1, 1, 4)))
            case _:
                bent[place] ^= 1 << random.randrange(8)
        return bytes(bent)

    def _broken_signature(self, sample: Sample) -> bytes:
        random, signature = self._random, sample.signature
        scheme = SCHEMES[sample.algorithm]
        if scheme.key is KeyKind.ED25519 and random.random() < 0.6:
            r, s = signature[:32], int.from_bytes(signature[32:], "little")
            odd = random.choice(odd_encodings())
            s = random.choice((s, s, 0, L - 1, L, s + L, L - s))
            return random.choice((r, odd)) + s.to_bytes(32, "little")
        if scheme.encoding.name == "DER" and random.random() < 0.6:
            return self._broken_pair(*decode_dss_signature(signature), sample)
        if scheme.encoding.name == "P1363" and random.random() < 0.4:
            half = len(signature) // 2
            part = random.choice((b"\0" * half, b"\xff" * half, signature[half:]))
            return random.choice((part + signature[half:], signature[:half] + part))
        if scheme.key in (KeyKind.GOST_256, KeyKind.GOST_512) and random.random() < 0.4:
            half = len(signature) // 2
            part = random.choice((b"\0" * half, b"\xff" * half, b"\1" + b"\0" * (half - 1)))
            return random.choice((part + signature[half:], signature[:half] + part))
        if scheme.key is KeyKind.RSA and random.random() < 0.3:
            number = int.from_bytes(signature, "big") + random.choice((-1, 1)) * self._modulus(
                sample
            )
            bent: int = number % 256 ** len(signature)
            return bent.to_bytes(len(signature), "big")
        return self.bend(signature)

    def _modulus(self, sample: Sample) -> int:
        info = der.Reader(sample.spki).sequence()
        info.sequence()
        return der.Reader(info.bit_string()).sequence().unsigned()

    def _broken_pair(self, r: int, s: int, sample: Sample) -> bytes:
        random = self._random
        width = 8 * ((len(sample.signature) - 6) // 2)
        n = {
            KeyKind.P256: 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
            KeyKind.P384: 2**384 - 1388124618062372383947042015309946732620727252194336364173,
        }.get(SCHEMES[sample.algorithm].key, 1 << width)

        def integer(number: int) -> bytes:
            content = number.to_bytes(number.bit_length() // 8 + 1, "big")
            if random.random() < 0.15:
                content = random.choice((b"\0" + content, content.lstrip(b"\0"), b""))
            return der.encode(der.INTEGER, content)

        r = random.choice((r, r, 0, 1, n, n - 1, r + n))
        s = random.choice((s, s, 0, abs(n - s), n))
        content = integer(r) + integer(s) + random.choice((b"", b"", b"", b"\0", b"\5\0"))
        if random.random() < 0.15:
            return b"\x30\x81" + bytes([len(content)]) + content
        return der.encode(der.SEQUENCE, content) + random.choice((b"", b"", b"", b"\0"))

    def _broken_key(self, sample: Sample) -> bytes:
        random = self._random
        if SCHEMES[sample.algorithm].key is KeyKind.ED25519 and random.random() < 0.5:
            return ed25519_spki(random.choice(odd_encodings()))
        if SCHEMES[sample.algorithm].key is KeyKind.RSA and random.random() < 0.5:
            modulus = self._modulus(sample) + random.choice((0, 0, 0, 1, 1 << 2060))
            modulus >>= random.choice((0, 0, 1, 10))
            exponent = random.choice((1, 2, 3, 65536, 65537, 2**32 + 1, 2**33 - 1, 2**33 + 1))
            numbers = der.encode_unsigned(modulus) + der.encode_unsigned(exponent)
            null = random.choice((b"\5\0", b"\5\0", b"", b"\5\0\0"))
            return any_spki(der.encode_oid(RSA) + null, der.encode(der.SEQUENCE, numbers))
        return self.bend(sample.spki)

    def signer(self, spki: bytes) -> verification_pb2.Signer:
        """A signer with that key: bare, in a certificate, or under a name."""
        random = self._random
        match random.randrange(12):
            case 0:
                tails = (b"", b"", b"\x81\0", b"\x82\0\xa3\0", b"\xa3\0\x81\0", b"\xa3\0\xa3\0")
                whole = certificate(spki, random.choice(tails))
                whole = self.bend(whole) if random.random() < 0.3 else whole
                return verification_pb2.Signer(certificate=whole)
            case 1:
                return verification_pb2.Signer(key_version="keys/a/versions/1")
            case 2 if random.random() < 0.3:
                return verification_pb2.Signer()
            case _:
                return verification_pb2.Signer(public_key=spki)

    def item(
        self, health: float, kinds: list[KeyKind]
    ) -> tuple[bytes, verification_pb2.SignedItem]:
        """A key and an item, nothing wrong with them in `health` of all cases."""
        random = self._random
        sample = random.choice(samples()[random.choice(kinds)])
        spki, item = sample.spki, verification_pb2.SignedItem()
        item.algorithm = contract_algorithm(sample.algorithm)
        item.signature = sample.signature
        if random.random() < 0.2:
            item.digest = sample.digest
        else:
            item.message = sample.message
        if random.random() < health:
            return spki, item
        faults: list[Callable[[], None]] = [
            lambda: setattr(item, "signature", self._broken_signature(sample)),
            lambda: setattr(item, "signature", self._broken_signature(sample)),
            lambda: setattr(item, "message", self.bend(sample.message)),
            lambda: setattr(item, "digest", self.bend(sample.digest)),
            lambda: setattr(item, "algorithm", random.randrange(-1, 21)),
            lambda: item.ClearField(random.choice(("payload", "signature", "algorithm"))),
        ]
        for _ in range(random.choice((0, 1, 1, 1, 2))):
            random.choice(faults)()
        if random.random() < 0.3:
            spki = self._broken_key(sample)
        return spki, item

    def batch(self) -> verification_pb2.BatchVerifyRequest:
        """A request of some items, of any kinds of keys or of one, most of them right or few."""
        random, request = self._random, verification_pb2.BatchVerifyRequest()
        health = random.choice((0.0, 0.5, 0.9, 0.99, 1.0))
        every = list(samples())
        # Ed25519 has the most to go wrong; RSA is verified eight at once; GOST takes milliseconds
        # each in pure Python.
        quick = [kind for kind in every if kind not in SLOW_KINDS]
        kinds = random.choice(([KeyKind.ED25519], [KeyKind.ED25519], [KeyKind.RSA], quick, every))
        sizes = SLOW_BATCH_SIZES if kinds is every else BATCH_SIZES
        known: dict[bytes, int] = {}
        for _ in range(random.choice(sizes)):
            spki, item = self.item(health, kinds)
            if spki not in known or random.random() < 0.1:
                known[spki] = len(request.signers)
                request.signers.append(self.signer(spki))
            item.signer = known[spki]
            if random.random() < 0.005:
                item.signer = random.choice((len(known), 2**32 - 1))
            request.items.append(item)
        if random.random() < 0.2:
            request.trust_policy = cast("verification_pb2.TrustPolicy", random.randrange(-1, 5))
            request.at.seconds, request.at.nanos = random.randrange(-5, 5), random.randrange(-5, 5)
        return request

    def wire(self, message: bytes) -> bytes:
        """A message's bytes, sometimes followed by unknown or repeated fields, or with a fault."""
        random = self._random
        if random.random() < 0.1:
            depth = random.choice((1, 99, 100, 101))
            message += random.choice(
                (
                    b"\x1a\x01\x01",
                    b"\x18" + b"\xff" * 9 + b"\x7f",
                    b"\x98\x80\x80\x80\x00\x01",
                    b"\x12\x80\x80\x80\x80\x00",
                    b"\x22\x02\x08\x05\x22\x02\x10\x07",
                    b"\x7b" * depth + b"\x7c" * depth,
                    b"\x0a\x03\x1a\x01\xff",
                    b"\x79abcdefgh\x7dabcd\x7a\x01a",
                    b"\x0a\x03\x0a\x01a\x0a\x00\x12\x02\x2a\x00",
                )
            )
        return self.bend(message) if random.random() < 0.15 else message
