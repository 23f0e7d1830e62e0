"""Verify in Python, over OpenSSL and ed25519-zebra: the reference for tests of the kernel.

signatures/README.md rules which verdict comes when, for both backends.
"""

from __future__ import annotations

import os
import time
import weakref
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, encode_dss_signature
from google.protobuf.message import DecodeError

from qagazsyz.common.v1.certificates_pb2 import RequiredRole
from qagazsyz.signing.v1 import verification_pb2
from signatures import ed25519
from signatures.algorithms import SCHEMES, Encoding, Hash, Scheme, Verdict
from signatures.backend import (
    CERTIFICATE_SOURCE,
    KEY_VERSION_SOURCE,
    NO_SOURCE,
    MalformedRequest,
    Part,
)
from signatures.der import MalformedDer, Reader
from signatures.fields import MalformedFields, length_delimited
from signatures.gost import verification as gost
from signatures.gost.verification import GostKey
from signatures.keys import (
    Ed25519Key,
    EllipticKey,
    MalformedKey,
    MlDsaKey,
    PublicKey,
    RsaKey,
    UnsupportedKey,
    certificate_spki,
    load_public_key,
)

_HASHES: dict[Hash | None, hashes.HashAlgorithm] = {
    Hash.SHA256: hashes.SHA256(),
    Hash.SHA384: hashes.SHA384(),
    Hash.SHA512: hashes.SHA512(),
}
_PREHASHED = {name: Prehashed(h) for name, h in _HASHES.items()}
_PSS = {name: padding.PSS(padding.MGF1(h), h.digest_size) for name, h in _HASHES.items()}
_PKCS1 = padding.PKCS1v15()

# The contract's limit, of signers and of items alike.
ENTRIES_LIMIT = 10_000
# BatchVerifyRequest.signers and BatchVerifyRequest.items.
_SIGNERS_FIELD, _ITEMS_FIELD = 1, 2


def verify(
    key: PublicKey,
    algorithm: int,
    *,
    message: bytes | None = None,
    digest: bytes | None = None,
    signature: bytes,
) -> Verdict:
    """Verify one signature; never UNKNOWN_SIGNER or a verdict about trust.

    Give either the message or its digest; with neither, the verdict is MALFORMED_DIGEST.
    """
    scheme = SCHEMES.get(algorithm)
    if scheme is None:
        return Verdict.UNSUPPORTED_ALGORITHM
    return verify_scheme(key, scheme, message=message, digest=digest, signature=signature)


def verify_scheme(
    key: PublicKey,
    scheme: Scheme,
    *,
    message: bytes | None = None,
    digest: bytes | None = None,
    signature: bytes,
) -> Verdict:
    """Verify one signature by a scheme, which need not have a number in the contract."""
    if key.kind is not scheme.key:
        return Verdict.KEY_MISMATCH
    if digest is not None:
        if scheme.hash is None or len(digest) != scheme.hash.digest_length:
            return Verdict.MALFORMED_DIGEST
        data = digest
    elif message is not None:
        data = message
    else:
        return Verdict.MALFORMED_DIGEST
    if isinstance(key, Ed25519Key):
        return _ed25519(key, data, signature)
    if isinstance(key, MlDsaKey):
        return _ml_dsa(key, data, signature)
    hashed = digest is not None
    if isinstance(key, EllipticKey):
        return _elliptic(key, scheme, data, hashed, signature)
    if isinstance(key, GostKey):
        return _gost(key, scheme, data, hashed, signature)
    return _rsa(key, scheme, data, hashed, signature)


def _ed25519(key: Ed25519Key, message: bytes, signature: bytes) -> Verdict:
    if not ed25519.is_signature(signature):
        return Verdict.MALFORMED_SIGNATURE
    if ed25519.holds(key.encoded, message, signature):
        return Verdict.VALID
    # Checking that R is a point costs an exponentiation: do it only if the verdict depends on it.
    if ed25519.is_on_curve(signature[:32]):
        return Verdict.INVALID_SIGNATURE
    return Verdict.MALFORMED_SIGNATURE


def _ml_dsa(key: MlDsaKey, message: bytes, signature: bytes) -> Verdict:
    if len(signature) != key.signature_length:
        return Verdict.MALFORMED_SIGNATURE
    try:
        key.handle.verify(signature, message)
    except InvalidSignature:
        return Verdict.INVALID_SIGNATURE
    return Verdict.VALID


def _elliptic(
    key: EllipticKey, scheme: Scheme, data: bytes, hashed: bool, signature: bytes
) -> Verdict:
    try:
        if scheme.encoding is Encoding.P1363:
            r, s = _split_p1363(signature, key.coordinate_length)
        else:
            r, s = split_dss(signature)
    except MalformedDer:
        return Verdict.MALFORMED_SIGNATURE
    if not (1 <= r < key.order and 1 <= s < key.order):
        return Verdict.MALFORMED_SIGNATURE
    try:
        key.handle.verify(encode_dss_signature(r, s), data, ec.ECDSA(_hash(scheme, hashed)))
    except InvalidSignature:
        return Verdict.INVALID_SIGNATURE
    return Verdict.VALID


def split_dss(signature: bytes) -> tuple[int, int]:
    """Return r and s of a DER-encoded ECDSA signature (RFC 3279). Raises MalformedDer."""
    outer = Reader(signature)
    numbers = outer.sequence()
    outer.end()
    r, s = numbers.unsigned(), numbers.unsigned()
    numbers.end()
    return r, s


def _split_p1363(signature: bytes, width: int) -> tuple[int, int]:
    if len(signature) != 2 * width:
        raise MalformedDer("not two coordinates long")
    return int.from_bytes(signature[:width], "big"), int.from_bytes(signature[width:], "big")


def _rsa(key: RsaKey, scheme: Scheme, data: bytes, hashed: bool, signature: bytes) -> Verdict:
    if len(signature) != key.modulus_length or int.from_bytes(signature, "big") >= key.modulus:
        return Verdict.MALFORMED_SIGNATURE
    digest = _hash(scheme, hashed)
    try:
        if scheme.encoding is Encoding.PSS:
            key.handle.verify(signature, data, _PSS[scheme.hash], digest)
        else:
            key.handle.verify(signature, data, _PKCS1, digest)
    except InvalidSignature:
        return Verdict.INVALID_SIGNATURE
    return Verdict.VALID


def _gost(key: GostKey, scheme: Scheme, data: bytes, hashed: bool, signature: bytes) -> Verdict:
    numbers = gost.split_signature(key, signature)
    if numbers is None:
        return Verdict.MALFORMED_SIGNATURE
    # Every GOST scheme has a hash; the check is for the type.
    digest = data if hashed or scheme.hash is None else gost.digest_of(scheme.hash, data)
    return Verdict.VALID if gost.holds(key, digest, *numbers) else Verdict.INVALID_SIGNATURE


def _hash(scheme: Scheme, hashed: bool) -> hashes.HashAlgorithm | Prehashed:
    return (_PREHASHED if hashed else _HASHES)[scheme.hash]


class PortableBatch:
    """A request decoded by protobuf; a signer's key is loaded when an item first needs it."""

    def __init__(self, request: verification_pb2.BatchVerifyRequest) -> None:
        self._request = request
        self._signers: Sequence[verification_pb2.Signer] = request.signers
        self._items: Sequence[verification_pb2.SignedItem] = request.items
        self._overrides: dict[int, bytes | None] = {}
        # The verdict of valid signatures, by signer; VALID for signers that are not here.
        self._trust: dict[int, Verdict] = {}
        # A signer's key, or the verdict of all its items if it has no usable key.
        self._keys: dict[int, PublicKey | Verdict] = {}

    @property
    def item_count(self) -> int:
        return len(self._items)

    @property
    def signer_count(self) -> int:
        return len(self._signers)

    @property
    def trust_policy(self) -> int:
        return self._request.trust_policy

    @property
    def at(self) -> tuple[int, int] | None:
        if not self._request.HasField("at"):
            return None
        return self._request.at.seconds, self._request.at.nanos

    @property
    def required_role(self) -> RequiredRole | None:
        return self._request.required_role if self._request.HasField("required_role") else None

    @property
    def algorithms(self) -> bytes:
        return bytes(item.algorithm if item.algorithm in SCHEMES else 0 for item in self._items)

    def named_signers(self) -> list[tuple[int, int, bytes]]:
        named: list[tuple[int, int, bytes]] = []
        for index, signer in enumerate(self._signers):
            source = signer.WhichOneof("source")
            if source == "certificate":
                named.append((index, CERTIFICATE_SOURCE, signer.certificate))
            elif source == "key_version":
                named.append((index, KEY_VERSION_SOURCE, signer.key_version.encode()))
            elif source is None:
                named.append((index, NO_SOURCE, b""))
        return named

    def set_key(self, index: int, spki: bytes | None) -> None:
        if not 0 <= index < len(self._signers):
            raise IndexError(f"no signer {index}: the batch has {len(self._signers)}")
        self._overrides[index] = spki

    def set_trust(self, index: int, verdict: int) -> None:
        if not 0 <= index < len(self._signers):
            raise IndexError(f"no signer {index}: the batch has {len(self._signers)}")
        self._trust[index] = Verdict(verdict)

    def verify(self, start: int, stop: int) -> bytes:
        return bytes(self._verdict(item) for item in self._items[start:stop])

    def _verdict(self, item: verification_pb2.SignedItem) -> Verdict:
        verdict = self._arithmetic(item)
        if verdict is Verdict.VALID:
            return self._trust.get(item.signer, verdict)
        return verdict

    def _arithmetic(self, item: verification_pb2.SignedItem) -> Verdict:
        index = item.signer
        key = self._keys.get(index)
        if key is None:
            # Two threads may both load a key: harmless, they get equal ones.
            key = self._keys[index] = self._load(index)
        if key is Verdict.UNKNOWN_SIGNER:
            return key
        if item.algorithm not in SCHEMES:
            return Verdict.UNSUPPORTED_ALGORITHM
        if isinstance(key, Verdict):
            return key
        payload = item.WhichOneof("payload")
        return verify(
            key,
            item.algorithm,
            message=item.message if payload == "message" else None,
            digest=item.digest if payload == "digest" else None,
            signature=item.signature,
        )

    def _load(self, index: int) -> PublicKey | Verdict:
        if index >= len(self._signers):
            return Verdict.UNKNOWN_SIGNER
        try:
            if index in self._overrides:
                spki = self._overrides[index]
            else:
                signer = self._signers[index]
                source = signer.WhichOneof("source")
                if source == "public_key":
                    spki = signer.public_key
                elif source == "certificate":
                    spki = certificate_spki(signer.certificate)
                else:
                    spki = None
            return Verdict.UNKNOWN_SIGNER if spki is None else load_public_key(spki)
        except MalformedKey:
            return Verdict.MALFORMED_KEY
        except UnsupportedKey:
            return Verdict.UNSUPPORTED_ALGORITHM


class _OversizedBatch(PortableBatch):
    """A request with more entries than the contract allows: counted, not decoded."""

    def __init__(self, signer_count: int, item_count: int) -> None:
        super().__init__(verification_pb2.BatchVerifyRequest())
        self._counts = signer_count, item_count

    @property
    def signer_count(self) -> int:
        return self._counts[0]

    @property
    def item_count(self) -> int:
        return self._counts[1]


def _count_entries(request: bytes) -> tuple[int, int]:
    """Count a request's signers and items; stop once either exceeds ENTRIES_LIMIT."""
    signers = items = 0
    for number, _, _ in length_delimited(request):
        signers += number == _SIGNERS_FIELD
        items += number == _ITEMS_FIELD
        if max(signers, items) > ENTRIES_LIMIT:
            break
    return signers, items


class PortableQueue:
    """Parts of batches for threads to verify, which share the GIL."""

    def __init__(self) -> None:
        self._waiting: SimpleQueue[tuple[Sequence[Part], object] | None] = SimpleQueue()
        self._finished: deque[tuple[object, bytes | Exception, float]] = deque()
        self._woken, self._wake = os.pipe()
        for descriptor in (self._woken, self._wake):
            os.set_blocking(descriptor, False)
        # Not in close: a thread that is about to write could write into another file.
        weakref.finalize(self, _close, self._woken, self._wake).atexit = False

    def put(self, parts: Sequence[Part], ticket: object) -> None:
        """Give a thread the parts."""
        self._waiting.put((parts, ticket))

    def work(self) -> None:
        """Verify what is put, on this thread, until the queue is closed."""
        while (task := self._waiting.get()) is not None:
            self._verify(*task)
            # It may be 20 MiB, and the next one long in coming.
            del task
        # For the next thread.
        self._waiting.put(None)

    def _verify(self, parts: Sequence[Part], ticket: object) -> None:
        began = time.thread_time()
        found: bytes | Exception
        try:
            found = b"".join(batch.verify(start, stop) for batch, start, stop in parts)
        except Exception as error:
            found = error
        self._finished.append((ticket, found, time.thread_time() - began))
        # If there is no room for a byte, there are enough to wake the loop.
        with suppress(BlockingIOError):
            os.write(self._wake, b"\0")

    def fileno(self) -> int:
        return self._woken

    def finished(self) -> list[tuple[Any, bytes | Exception, float]]:
        """Return what was finished since the last time."""
        # First, so that what is finished from now on leaves a byte.
        with suppress(BlockingIOError):
            os.read(self._woken, 4096)
        return [self._finished.popleft() for _ in range(len(self._finished))]

    def close(self) -> None:
        """End the threads; what none of them has begun is dropped."""
        with suppress(Empty):
            while True:
                self._waiting.get_nowait()
        self._waiting.put(None)


def _close(*descriptors: int) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


class PortableBackend:
    """Verifies where the kernel is not installed; needs what requirements/portable.txt installs."""

    name = "portable"

    def __init__(self) -> None:
        """Raises ImportError without ed25519-zebra: at the start, not at the first signature."""
        import ed25519_zebra  # type: ignore[import-untyped]  # noqa: F401

    def parse_batch(self, request: bytes) -> PortableBatch:
        """Parse a BatchVerifyRequest. Raises MalformedRequest.

        A request with more signers or items than ENTRIES_LIMIT is not decoded, which could take
        forty times its bytes: the batch has counts only, which may be too low.
        """
        try:
            entries = _count_entries(request)
            if max(entries) > ENTRIES_LIMIT:
                return _OversizedBatch(*entries)
            return PortableBatch(verification_pb2.BatchVerifyRequest.FromString(request))
        except (DecodeError, MalformedFields):
            raise MalformedRequest("not a BatchVerifyRequest") from None

    def parse_single(self, request: bytes) -> PortableBatch:
        """Parse a VerifyRequest as a batch of one item. Raises MalformedRequest."""
        try:
            single = verification_pb2.VerifyRequest.FromString(request)
        except DecodeError:
            raise MalformedRequest("not a VerifyRequest") from None
        batch = verification_pb2.BatchVerifyRequest(
            signers=[single.signer],
            items=[single.item],
            trust_policy=single.trust_policy,
            at=single.at if single.HasField("at") else None,
            required_role=single.required_role if single.HasField("required_role") else None,
        )
        batch.items[0].signer = 0
        return PortableBatch(batch)

    def queue(self) -> PortableQueue:
        """Return a new queue."""
        return PortableQueue()
