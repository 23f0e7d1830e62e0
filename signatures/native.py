"""Adapt the native kernel to the interface in backend.py; raises ImportError without the kernel.

The kernel walks the request's bytes and verifies without the GIL. Verdicts are its own: this module
adds none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import qagazsyz_kernel
from google.protobuf.message import DecodeError

from qagazsyz.common.v1.certificates_pb2 import RequiredRole
from signatures.algorithms import Verdict
from signatures.backend import MalformedRequest, Part

# Verify on the calling thread. A server keeps its cores busy with several chunks, a thread each; a
# chunk that the kernel does not split again keeps the gain of Ed25519's batch equation.
THREADS = 1

NAME = "kernel"
VERSION: str = qagazsyz_kernel.version


class KernelBatch:
    """A request that the kernel has parsed: its bytes, and the offsets of every part."""

    __slots__ = ("_batch", "_required_role", "_threads")

    def __init__(self, batch: qagazsyz_kernel.Batch, threads: int) -> None:
        """Raises DecodeError on a malformed required_role, which the kernel does not parse."""
        self._batch = batch
        self._threads = threads
        role: bytes | None = batch.required_role
        self._required_role = None if role is None else RequiredRole.FromString(role)

    @property
    def native(self) -> qagazsyz_kernel.Batch:
        """The kernel's object."""
        return self._batch

    @property
    def item_count(self) -> int:
        return int(self._batch.item_count)

    @property
    def signer_count(self) -> int:
        return int(self._batch.signer_count)

    @property
    def trust_policy(self) -> int:
        return int(self._batch.trust_policy)

    @property
    def at(self) -> tuple[int, int] | None:
        at: tuple[int, int] | None = self._batch.at
        return at

    @property
    def required_role(self) -> RequiredRole | None:
        return self._required_role

    @property
    def algorithms(self) -> bytes:
        numbers: bytes = self._batch.algorithms
        return numbers

    def named_signers(self) -> list[tuple[int, int, bytes]]:
        named: list[tuple[int, int, bytes]] = self._batch.named_signers()
        return named

    def set_key(self, index: int, spki: bytes | None) -> None:
        self._batch.set_key(index, spki)

    def set_trust(self, index: int, verdict: int) -> None:
        self._batch.set_trust(index, int(Verdict(verdict)))

    def verify(self, start: int, stop: int) -> bytes:
        verdicts: bytes = qagazsyz_kernel.verify([(self._batch, start, stop)], self._threads)
        return verdicts


class KernelQueue:
    """Parts of batches for threads to verify without the GIL; their Ed25519 signatures share one
    batch equation."""

    __slots__ = ("_queue",)

    def __init__(self) -> None:
        self._queue = qagazsyz_kernel.Queue()

    def put(self, parts: Sequence[Part], ticket: object) -> None:
        """Give a thread the parts. Raises TypeError for a batch of another backend."""
        native = []
        for batch, start, stop in parts:
            if not isinstance(batch, KernelBatch):
                raise TypeError("a batch of another backend")
            native.append((batch.native, start, stop))
        self._queue.put(native, ticket)

    def work(self) -> None:
        self._queue.work()

    def fileno(self) -> int:
        return int(self._queue.fileno())

    def finished(self) -> list[tuple[Any, bytes | Exception, float]]:
        finished: list[tuple[Any, bytes | Exception, float]] = self._queue.finished()
        return finished

    def close(self) -> None:
        self._queue.close()


class KernelBackend:
    """Verifies each call on `threads` threads: 1 is the caller's own, 0 means one a core.

    All calls of a process share one pool; the first call that needs it sets its size.
    """

    name = NAME

    def __init__(self, threads: int = THREADS) -> None:
        self._threads = threads

    def parse_batch(self, request: bytes) -> KernelBatch:
        """Parse a BatchVerifyRequest. Raises MalformedRequest."""
        try:
            return KernelBatch(qagazsyz_kernel.parse_batch(request), self._threads)
        except (ValueError, DecodeError):
            raise MalformedRequest("not a BatchVerifyRequest") from None

    def parse_single(self, request: bytes) -> KernelBatch:
        """Parse a VerifyRequest as a batch of one item. Raises MalformedRequest."""
        try:
            return KernelBatch(qagazsyz_kernel.parse_single(request), self._threads)
        except (ValueError, DecodeError):
            raise MalformedRequest("not a VerifyRequest") from None

    def queue(self) -> KernelQueue:
        """Return a new queue, whose threads never take the GIL."""
        return KernelQueue()
