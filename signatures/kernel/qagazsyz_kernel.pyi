"""Verify batches of signatures, from a request's wire bytes to packed verdicts, without the GIL;
and hash with Streebog."""

from collections.abc import Sequence
from typing import Any, final

__all__ = [
    "Batch",
    "Queue",
    "instructions",
    "parse_batch",
    "parse_single",
    "streebog256",
    "streebog512",
    "verify",
    "version",
]

version: str

@final
class Batch:
    """One parsed request. An instance is made by parse_batch or parse_single."""

    @property
    def item_count(self) -> int:
        """Items on the wire; those past the contract's limit are counted but not kept."""

    @property
    def signer_count(self) -> int:
        """Signers on the wire; those past the contract's limit are counted but not kept."""

    @property
    def trust_policy(self) -> int:
        """TrustPolicy's number, known or not."""

    @property
    def algorithms(self) -> bytes:
        """Each item's algorithm by its number in the contract, a byte each; 0 for any other."""

    @property
    def at(self) -> tuple[int, int] | None:
        """Seconds and nanoseconds since the epoch; None when unset."""

    @property
    def required_role(self) -> bytes | None:
        """A RequiredRole's wire bytes, not validated; None when unset."""

    def named_signers(self) -> list[tuple[int, int, bytes]]:
        """Return (index, field number, value) of each signer that gives no bare public key.

        The field is 2 for a certificate, 3 for a key version, and 0 for a signer with no source.
        """

    def set_key(self, index: int, spki: bytes | None) -> None:
        """Give a signer its SubjectPublicKeyInfo, or None if it has no key.

        Raises IndexError for an unknown signer, ValueError after verification has used its key.
        """

    def set_trust(self, index: int, verdict: int) -> None:
        """Report `verdict`, a byte, for the signer's items whose signature holds.

        Raises IndexError for an unknown signer.
        """

@final
class Queue:
    """Parts of batches for threads to verify. Unlike verify, these never take the GIL."""

    def __new__(cls) -> Queue: ...
    def put(self, parts: Sequence[tuple[Batch, int, int]], ticket: object) -> None:
        """Give the threads the items from start to stop of each part, to be verified together.

        Raises IndexError if a batch has no such items.
        """

    def work(self) -> None:
        """Verify what is put, on this thread and without the GIL, until the queue is closed."""

    def fileno(self) -> int:
        """Return a descriptor that becomes readable when something is finished."""

    def finished(self) -> list[tuple[Any, bytes | Exception, float]]:
        """Return what was finished since the last time, in any order.

        Of each: the ticket that it was put with, the verdicts of all its parts or what went wrong,
        and the CPU seconds that it took.
        """

    def close(self) -> None:
        """End the threads; what none of them has begun is dropped."""

def parse_batch(request: bytes) -> Batch:
    """Parse a BatchVerifyRequest. Raises ValueError for bytes that are not one."""

def parse_single(request: bytes) -> Batch:
    """Parse a VerifyRequest into a batch of one. Raises ValueError for bytes that are not one."""

def verify(parts: Sequence[tuple[Batch, int, int]], threads: int) -> bytes:
    """Return one verdict byte for each item from start to stop of each (batch, start, stop).

    With 1 thread the caller's own does the work. With 0, or more than 1, a pool does that all calls
    share: as large as the first such call asked for, 0 meaning one thread a core.
    Raises IndexError if a batch has no such items.
    """

def streebog256(message: bytes) -> bytes:
    """Return the 32 bytes of the Streebog-256 digest, in the order of files and certificates."""

def streebog512(message: bytes) -> bytes:
    """Return the 64 bytes of the Streebog-512 digest, in the same order."""

def instructions() -> str:
    """Return the set of instructions that is used: "ifma", "avx2" or "scalar", at most the one that
    QAGAZSYZ_KERNEL_INSTRUCTIONS names. RuntimeError where that names none."""
