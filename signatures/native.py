"""The verification backend on the native kernel; importing it without the kernel is an ImportError.

The kernel walks the request's bytes itself and verifies without the GIL. What is here gives it
the shape of `signatures.backend`, and nothing else: verdicts are the kernel's own.
"""

from __future__ import annotations

from collections.abc import Sequence

import qagazsyz_kernel
from google.protobuf.message import DecodeError

from qagazsyz.common.v1.certificates_pb2 import RequiredRole
from signatures.algorithms import Verdict
from signatures.backend import Batch, MalformedRequest

# Threads for one call: the caller's own. A server keeps its cores busy with several chunks at a
# time, each on a thread, and a chunk that is not cut again keeps its batch equation long.
THREADS = 1

NAME = "kernel"
VERSION: str = qagazsyz_kernel.version


class KernelBatch:
    """A request in the kernel's hands: its bytes, and where in them every part lies."""

    __slots__ = ("_batch", "_required_role", "_threads")

    def __init__(self, batch: qagazsyz_kernel.Batch, threads: int) -> None:
        """Raises DecodeError where the required role, which the kernel does not read, is none."""
        self._batch = batch
        self._threads = threads
        role: bytes | None = batch.required_role
        self._required_role = None if role is None else RequiredRole.FromString(role)

    @property
    def native(self) -> qagazsyz_kernel.Batch:
        """The kernel's own object."""
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


class KernelBackend:
    """Verifies on `threads` threads for each call: 1 is the caller's own, 0 one for each core.

    All calls of a process share one pool, as large as the first call that needs it asks for.
    """

    name = NAME

    def __init__(self, threads: int = THREADS) -> None:
        self._threads = threads

    def parse_batch(self, request: bytes) -> KernelBatch:
        """A BatchVerifyRequest's wire bytes as a batch; raises MalformedRequest."""
        try:
            return KernelBatch(qagazsyz_kernel.parse_batch(request), self._threads)
        except (ValueError, DecodeError):
            raise MalformedRequest("the bytes are no BatchVerifyRequest") from None

    def parse_single(self, request: bytes) -> KernelBatch:
        """A VerifyRequest's wire bytes as a batch of one; raises MalformedRequest."""
        try:
            return KernelBatch(qagazsyz_kernel.parse_single(request), self._threads)
        except (ValueError, DecodeError):
            raise MalformedRequest("the bytes are no VerifyRequest") from None

    def verify_many(self, batches: Sequence[Batch]) -> list[bytes]:
        """All verdicts of several batches of this backend, their signatures settled together."""
        parts = []
        for batch in batches:
            if not isinstance(batch, KernelBatch):
                raise TypeError("the batch is another backend's")
            parts.append((batch.native, 0, batch.item_count))
        verdicts: bytes = qagazsyz_kernel.verify(parts, self._threads)
        answers, start = [], 0
        for _, _, count in parts:
            answers.append(verdicts[start : start + count])
            start += count
        return answers
