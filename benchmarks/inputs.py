"""Make the signed items that are measured, of every algorithm."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from benchmarks import gost
from qagazsyz.common.v1.signatures_pb2 import SignatureAlgorithm
from qagazsyz.signing.v1 import verification_pb2

MESSAGE_BYTES = 256
MOST_KEYS = 10_000
# An RSA key takes a tenth of a second to make.
RSA_KEYS = 128
# Items of algorithms with fewer keys. Larger batches repeat them, which changes nothing if each is
# verified by itself, and saves a millisecond of signing with RSA, ML-DSA or GOST each.
REPEATED_ITEMS = 2_000
# Keys of algorithms for which the kernel caches tables by key: as many as the largest batch that is
# compared has items, because in practice signers come again. Keys of ML-DSA have kilobytes.
TABLE_KEYS = 1_000

Verifier = Callable[[bytes, bytes], None]


@dataclass(frozen=True, slots=True)
class Scheme:
    """An algorithm: how to generate a key, sign a message, and verify it with cryptography."""

    name: str
    number: int
    generate: Callable[[], Any]
    sign: Callable[[Any, bytes], bytes]
    verify: Callable[[Any, bytes, bytes], None]
    most_keys: int = MOST_KEYS
    # Its name in `openssl speed`.
    openssl: str = ""

    @property
    def comparable(self) -> bool:
        """Return whether cryptography verifies it, which has neither P1363 signatures nor GOST."""
        return not self.name.endswith("P1363") and not self.name.startswith("GOST")


def _ecdsa(
    bits: int, curve: ec.EllipticCurve, digest: hashes.HashAlgorithm, most_keys: int = MOST_KEYS
) -> Iterator[Scheme]:
    scheme = ec.ECDSA(digest)
    size = (bits + 7) // 8
    name = f"ECDSA_P{bits}_SHA{digest.digest_size * 8}"

    def raw(key: Any, message: bytes) -> bytes:
        r, s = decode_dss_signature(key.sign(message, scheme))
        return r.to_bytes(size, "big") + s.to_bytes(size, "big")

    def verify(key: Any, signature: bytes, message: bytes) -> None:
        key.verify(signature, message, scheme)

    yield Scheme(
        name,
        SignatureAlgorithm.Value(f"SIGNATURE_ALGORITHM_{name}"),
        lambda: ec.generate_private_key(curve),
        lambda key, message: key.sign(message, scheme),
        verify,
        most_keys=most_keys,
        openssl=f"ecdsap{bits}",
    )
    # cryptography verifies DER only, so there is no loop to compare this one with.
    yield Scheme(
        f"{name}_P1363",
        SignatureAlgorithm.Value(f"SIGNATURE_ALGORITHM_{name}_P1363"),
        lambda: ec.generate_private_key(curve),
        raw,
        lambda key, signature, message: None,  # noqa: ARG005
        most_keys=most_keys,
    )


def _rsa(digest: hashes.HashAlgorithm, pad: padding.AsymmetricPadding, name: str) -> Scheme:
    def verify(key: Any, signature: bytes, message: bytes) -> None:
        key.verify(signature, message, pad, digest)

    return Scheme(
        name,
        SignatureAlgorithm.Value(f"SIGNATURE_ALGORITHM_{name}"),
        lambda: rsa.generate_private_key(65537, 2048),
        lambda key, message: key.sign(message, pad, digest),
        verify,
        most_keys=RSA_KEYS,
        openssl="rsa2048" if name == "RSA_PKCS1_SHA256" else "",
    )


def _mldsa(level: int, private: Any) -> Scheme:
    return Scheme(
        f"ML_DSA_{level}",
        SignatureAlgorithm.Value(f"SIGNATURE_ALGORITHM_ML_DSA_{level}"),
        private.generate,
        lambda key, message: key.sign(message),
        lambda key, signature, message: key.verify(signature, message),
        most_keys=TABLE_KEYS,
    )


def _gost(bits: int, family: gost.Family) -> Scheme:
    keys = gost.Keys(family)
    return Scheme(
        f"GOST3410_2012_{bits}",
        SignatureAlgorithm.Value(f"SIGNATURE_ALGORITHM_GOST3410_2012_{bits}"),
        keys.generate,
        keys.sign,
        lambda key, signature, message: None,  # noqa: ARG005
        most_keys=TABLE_KEYS,
    )


def schemes() -> list[Scheme]:
    """Return every algorithm of the contract."""
    found = [
        Scheme(
            "ED25519",
            SignatureAlgorithm.SIGNATURE_ALGORITHM_ED25519,
            ed25519.Ed25519PrivateKey.generate,
            lambda key, message: key.sign(message),
            lambda key, signature, message: key.verify(signature, message),
            openssl="ed25519",
        ),
        *_ecdsa(256, ec.SECP256R1(), hashes.SHA256()),
        *_ecdsa(384, ec.SECP384R1(), hashes.SHA384(), TABLE_KEYS),
        *_ecdsa(521, ec.SECP521R1(), hashes.SHA512(), TABLE_KEYS),
    ]
    for digest in (hashes.SHA256(), hashes.SHA384(), hashes.SHA512()):
        size = digest.digest_size * 8
        found.append(_rsa(digest, padding.PKCS1v15(), f"RSA_PKCS1_SHA{size}"))
        pss = padding.PSS(padding.MGF1(digest), digest.digest_size)
        found.append(_rsa(digest, pss, f"RSA_PSS_SHA{size}"))
    found += [
        _mldsa(44, mldsa.MLDSA44PrivateKey),
        _mldsa(65, mldsa.MLDSA65PrivateKey),
        _mldsa(87, mldsa.MLDSA87PrivateKey),
        _gost(256, gost.BITS_256),
        _gost(512, gost.BITS_512),
    ]
    return found


@dataclass(frozen=True, slots=True)
class SignedItems:
    """Items of one algorithm, signed by the signers in turn."""

    scheme: Scheme
    public_keys: list[Any]
    spkis: list[bytes]
    messages: list[bytes]
    signatures: list[bytes]

    def signer(self, item: int) -> int:
        return item % len(self.spkis)

    def request(self, size: int, offset: int = 0) -> bytes:
        """Return a BatchVerifyRequest of `size` items from offset on, with their signers."""
        signers: dict[int, int] = {}
        request = verification_pb2.BatchVerifyRequest()
        for index in range(offset, offset + size):
            index %= len(self.messages)
            signer = self.signer(index)
            if signer not in signers:
                signers[signer] = len(signers)
                request.signers.add(public_key=self.spkis[signer])
            request.items.add(
                signer=signers[signer],
                algorithm=self.scheme.number,
                message=self.messages[index],
                signature=self.signatures[index],
            )
        return request.SerializeToString()

    def requests(self, size: int) -> list[bytes]:
        """Return batches of that size, which cover all items; twenty at most."""
        count = max(1, min(20, len(self.messages) // size))
        return [self.request(size, number * size) for number in range(count)]

    def single(self, index: int) -> bytes:
        """Return a VerifyRequest of one item."""
        return verification_pb2.VerifyRequest(
            signer=verification_pb2.Signer(public_key=self.spkis[self.signer(index)]),
            item=verification_pb2.SignedItem(
                algorithm=self.scheme.number,  # type: ignore[arg-type]
                message=self.messages[index],
                signature=self.signatures[index],
            ),
        ).SerializeToString()


class Keyring:
    """Keys of each scheme, generated once and shared by all measurements."""

    def __init__(self) -> None:
        self._keys: dict[str, list[Any]] = {}
        self._pool = ThreadPoolExecutor(os.cpu_count() or 1)

    def sign(self, scheme: Scheme, *, items: int, signers: int) -> SignedItems:
        """Sign items with so many keys in turn, at most with scheme.most_keys."""
        count = min(signers, scheme.most_keys)
        items = min(items, max(REPEATED_ITEMS, scheme.most_keys))
        # P1363 and DER, and the paddings and hashes of RSA, share keys.
        keys = self._keys.setdefault(scheme.name.split("_SHA")[0].replace("PSS", "PKCS1"), [])
        missing = count - len(keys)
        if missing > 0:
            keys += self._pool.map(lambda _: scheme.generate(), range(missing))
        messages = [os.urandom(MESSAGE_BYTES) for _ in range(items)]
        signatures = list(
            self._pool.map(
                lambda index: scheme.sign(keys[index % count], messages[index]), range(items)
            )
        )
        public = [key.public_key() for key in keys[:count]]
        spkis = [
            key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) for key in public
        ]
        return SignedItems(scheme, public, spkis, messages, signatures)


def by_name(name: str) -> Scheme:
    """Return a scheme by its name in the contract."""
    return next(scheme for scheme in schemes() if scheme.name == name)
