"""The interface of a verification backend; loading.py chooses an implementation.

A backend takes a request's bytes as they came off the wire and returns one verdict byte an item.
Policy stays with the caller: whom to trust, how many items to accept, when to stop.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from qagazsyz.common.v1.certificates_pb2 import RequiredRole

# The source of a signer, as Batch.named_signers gives it: the field's number in the contract's
# message Signer, NO_SOURCE where none is set.
NO_SOURCE = 0
CERTIFICATE_SOURCE = 2
KEY_VERSION_SOURCE = 3


class MalformedRequest(ValueError):
    """The bytes are not a message of the type that was asked for."""


class Batch(Protocol):
    """One BatchVerifyRequest, decoded as far as its verification needs."""

    @property
    def item_count(self) -> int: ...
    @property
    def signer_count(self) -> int: ...
    @property
    def trust_policy(self) -> int:
        """The number in the request, which may be none of TrustPolicy's."""
        ...

    @property
    def at(self) -> tuple[int, int] | None:
        """Seconds and nanoseconds of the Timestamp, unchecked; None if the field is unset."""
        ...

    @property
    def required_role(self) -> RequiredRole | None:
        """The message as it came, or None if the field is unset."""
        ...

    @property
    def algorithms(self) -> bytes:
        """Each item's algorithm by its number in the contract, a byte each; 0 for any other."""
        ...

    def named_signers(self) -> list[tuple[int, int, bytes]]:
        """Return index, source and value of each signer that is not a bare public key.

        The source is CERTIFICATE_SOURCE (the value is DER), KEY_VERSION_SOURCE (the name in UTF-8)
        or NO_SOURCE (empty).
        """
        ...

    def set_key(self, index: int, spki: bytes | None) -> None:
        """Set a signer's key (DER), or None: its items get UNKNOWN_SIGNER.

        A certificate's own key is found without this; a key version without it is unknown. Call it
        before verification begins. Raises IndexError.
        """
        ...

    def set_trust(self, index: int, verdict: int) -> None:
        """Set the verdict of a signer's valid signatures; VALID if never called.

        Call it before verification begins. Raises IndexError.
        """
        ...

    def verify(self, start: int, stop: int) -> bytes:
        """Return the verdicts of the items in [start, stop), a byte each. Thread-safe."""
        ...


# The items of a batch in [start, stop).
Part = tuple[Batch, int, int]


class WorkQueue(Protocol):
    """Parts of batches of one backend, for threads to verify."""

    def put(self, parts: Sequence[Part], ticket: object) -> None:
        """Give a thread the parts, to be verified together. Raises IndexError without such items.

        ticket: comes back with the verdicts.
        """
        ...

    def work(self) -> None:
        """Verify what is put, on this thread, until the queue is closed."""
        ...

    def fileno(self) -> int:
        """Return a descriptor that becomes readable when something is finished."""
        ...

    def finished(self) -> list[tuple[Any, bytes | Exception, float]]:
        """Return what was finished since the last time, in any order.

        Of each: its ticket; the verdicts of all its parts, a byte an item, or what went wrong; the
        CPU seconds that its thread took.
        """
        ...

    def close(self) -> None:
        """End the threads; what none of them has begun is dropped."""
        ...


class Backend(Protocol):
    """Parses batches, and has threads verify them."""

    @property
    def name(self) -> str: ...

    def parse_batch(self, request: bytes) -> Batch:
        """Parse a BatchVerifyRequest. Raises MalformedRequest."""
        ...

    def parse_single(self, request: bytes) -> Batch:
        """Parse a VerifyRequest as a batch of one item. Raises MalformedRequest."""
        ...

    def queue(self) -> WorkQueue:
        """Return a new queue, for batches that this backend parsed."""
        ...
