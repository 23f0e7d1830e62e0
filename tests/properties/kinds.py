"""Signatures of one kind of key, to fill batches with: good ones, and hostile ones.

There are keys that come again and again, and keys that come once. All but RSA's follow from the
random numbers that are given.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from random import Random

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from qagazsyz.signing.v1 import verification_pb2
from signatures.algorithms import Algorithm
from signatures.ed25519 import L
from tests.properties.forge import (
    EDWARDS_BASE,
    HASHES,
    add_points,
    ed25519_spki,
    encode_point,
    multiply_point,
    odd_encodings,
    public_spki,
    torsion,
)
from tests.unit.signatures.builders import contract_algorithm

# Each is used often enough for the kernel's tables of its multiples within a few batches.
KNOWN_KEYS = 12
# Items of a kind that are kept to be drawn again, at first and at most: making one costs more than
# verifying it.
FIRST_KEPT, KEPT = 20, 200


@dataclass(frozen=True, slots=True)
class Item:
    """A key, and what it may have signed."""

    spki: bytes
    algorithm: Algorithm
    payload: bytes
    is_digest: bool
    signature: bytes

    def add_to(self, request: verification_pb2.BatchVerifyRequest, signer: int) -> None:
        item = request.items.add(signer=signer, signature=self.signature)
        item.algorithm = contract_algorithm(self.algorithm)
        setattr(item, "digest" if self.is_digest else "message", self.payload)


class Kind(ABC):
    """Items of one kind of key; `freshness` of those drawn are made anew."""

    freshness = 0.05

    def __init__(self, name: str, random: Random) -> None:
        self.name = name
        self.random = random
        self._kept: dict[str, list[Item]] = {}

    @abstractmethod
    def known(self) -> Item:
        """Return a signature that holds, by a key that comes again."""

    @abstractmethod
    def new(self) -> Item:
        """Return a signature that holds, by a key that comes for the first time where possible."""

    @abstractmethod
    def hostile(self) -> Item:
        """Return what does not hold, or holds by an exceptional case of the arithmetic."""

    def drawn(self, make: Callable[[], Item]) -> Item:
        """Return an item that `known` or `hostile` makes now, or made before."""
        kept = self._kept.setdefault(make.__name__, [])
        if len(kept) >= FIRST_KEPT and self.random.random() >= self.freshness:
            return self.random.choice(kept)
        item = make()
        kept.append(item)
        if len(kept) > KEPT:
            kept.pop(self.random.randrange(KEPT))
        return item


class Ed25519(Kind):
    """Keys and nonces that go on by the base point; hostile ones have torsion, or are no points."""

    def __init__(self, random: Random) -> None:
        super().__init__("Ed25519", random)
        self._secret, self._nonce = random.randrange(1, L), random.randrange(1, L)
        self._point, self._shared = (
            multiply_point(EDWARDS_BASE, each) for each in (self._secret, self._nonce)
        )
        self._keys = []
        for number in range(KNOWN_KEYS):
            twist = torsion()[number % 8 if number < 4 else 0]
            self._keys.append((self._step(), encode_point(add_points(self._point, twist))))

    def _step(self) -> int:
        self._secret += 1
        self._point = add_points(self._point, EDWARDS_BASE)
        return self._secret

    def known(self) -> Item:
        return self._sign(*self.random.choice(self._keys))

    def new(self) -> Item:
        return self._sign(self._step(), encode_point(self._point))

    def _sign(self, secret: int, key: bytes, twist: int = 0, s_plus: int = 0) -> Item:
        self._nonce += 1
        self._shared = add_points(self._shared, EDWARDS_BASE)
        message = self.random.randbytes(self.random.choice((0, 64, 256)))
        r = encode_point(add_points(self._shared, torsion()[twist]))
        k = int.from_bytes(hashlib.sha512(r + key + message).digest(), "little")
        s = (self._nonce + k * secret + s_plus) % L
        signature = r + s.to_bytes(32, "little")
        return Item(ed25519_spki(key), Algorithm.ED25519, message, False, signature)

    def hostile(self) -> Item:
        random = self.random
        right = self._sign(
            *random.choice(self._keys),
            twist=random.randrange(8),
            s_plus=random.choice((0, 0, 1, L - 1, 1 << 251)),
        )
        spki, signature, message = right.spki, right.signature, right.payload
        match random.randrange(6):
            case 0:
                signature = random.choice(odd_encodings()) + signature[32:]
            case 1:
                spki = ed25519_spki(random.choice(odd_encodings()))
            case 2:
                message += b"."
            case 3:
                s = int.from_bytes(signature[32:], "little") + L
                signature = signature[:32] + s.to_bytes(32, "little")
        return Item(spki, right.algorithm, message, False, signature)


@cache
def _rsa_keys(bits: int) -> list[rsa.RSAPrivateKey]:
    return [rsa.generate_private_key(65537, bits) for _ in range(3 if bits == 2048 else 2)]


class Rsa(Kind):
    """Keys of one size; hostile are encoded messages with a bit off, under the key's own power."""

    # Signing takes milliseconds.
    freshness = 0.01

    def __init__(self, random: Random, bits: int) -> None:
        super().__init__(f"RSA-{bits}", random)
        self._keys = [(public_spki(key), key) for key in _rsa_keys(bits)]

    def known(self) -> Item:
        random = self.random
        spki, key = random.choice(self._keys)
        place, (size, name) = random.choice(list(enumerate(HASHES.items())))
        message = random.randbytes(random.choice((0, 256)))
        digest = hashlib.new(name.name, message).digest()
        pss = padding.PSS(padding.MGF1(name), size)
        first, form = random.choice(((8, padding.PKCS1v15()), (11, pss)))
        signature = key.sign(digest, form, Prehashed(name))
        is_digest = random.random() < 0.3
        payload = digest if is_digest else message
        return Item(spki, Algorithm(first + place), payload, is_digest, signature)

    def new(self) -> Item:
        """As known: making an RSA key takes a hundred milliseconds, and keys get no tables."""
        return self.drawn(self.known)

    def hostile(self) -> Item:
        random = self.random
        right = self.known()
        key = next(key for spki, key in self._keys if spki == right.spki)
        private = key.private_numbers()
        n, size = private.public_numbers.n, len(right.signature)
        s = int.from_bytes(right.signature, "big")
        match random.randrange(4):
            case 0:
                s = random.choice((0, 1, 2, n - 1, n - s, n, n + 1, s ^ 1))
            case 1:
                salt = random.choice((0, 20, 48, 64))
                form = padding.PSS(padding.MGF1(hashes.SHA256()), salt)
                signature = key.sign(right.payload, form, hashes.SHA256())
                algorithm = Algorithm.RSA_PSS_SHA256
                return Item(right.spki, algorithm, right.payload, False, signature)
            case _:
                encoded = pow(s, 65537, n)
                bent = encoded ^ 1 << random.choice(
                    (random.randrange(8), random.randrange(8 * size - 8))
                )
                s = _private_power(private, bent % n)
        signature = (s % 256**size).to_bytes(size, "big")
        return Item(right.spki, right.algorithm, right.payload, right.is_digest, signature)


def _private_power(private: rsa.RSAPrivateNumbers, number: int) -> int:
    """RFC 8017, section 5.1.2, by the Chinese remainder theorem."""
    p, q = private.p, private.q
    low = pow(number, private.dmq1, q)
    return low + q * ((pow(number, private.dmp1, p) - low) * private.iqmp % p)
