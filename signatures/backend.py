"""What a verification backend is, and which one serves here.

A backend takes a request as it came off the wire and gives one verdict byte for each item. Policy
(whom to trust, how many items to take, when to stop) stays with the caller.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from qagazsyz.common.v1.certificates_pb2 import RequiredRole


class MalformedRequest(ValueError):
    """Bytes that are no message of the asked type."""


class Batch(Protocol):
    """One BatchVerifyRequest, decoded as far as its verification needs."""

    @property
    def item_count(self) -> int: ...
    @property
    def signer_count(self) -> int: ...
    @property
    def trust_policy(self) -> int:
        """TrustPolicy's number, as it came."""
        ...

    @property
    def at(self) -> tuple[int, int] | None:
        """Seconds and nanoseconds, or None where the field is unset."""
        ...

    @property
    def required_role(self) -> RequiredRole | None:
        """What the request asks of its signers, or None where it asks nothing."""
        ...

    def named_signers(self) -> list[tuple[int, int, bytes]]:
        """The signers that are no bare public key: index, the source's field number, its value.

        The field number is 2 for a certificate, 3 for a key version (the value in UTF-8), and 0
        where the signer has no source.
        """
        ...

    def set_key(self, index: int, spki: bytes | None) -> None:
        """Gives a signer its key (DER), or None: its items get UNKNOWN_SIGNER.

        A certificate's own key is found without this; a key version without it is unknown. Not to
        be called once verification has begun.
        """
        ...

    def set_trust(self, index: int, verdict: int) -> None:
        """Says what a signer's items get whose signature holds: VALID, unless this was called
        with UNTRUSTED_SIGNER or INDETERMINATE. Not to be called once verification has begun.
        """
        ...

    def verify(self, start: int, stop: int) -> bytes:
        """The verdict of every item in [start, stop), a byte each; may be called from threads."""
        ...


class Backend(Protocol):
    """Makes batches, and verifies several of them in one call."""

    @property
    def name(self) -> str: ...

    def parse_batch(self, request: bytes) -> Batch:
        """A BatchVerifyRequest's wire bytes as a batch; raises MalformedRequest."""
        ...

    def parse_single(self, request: bytes) -> Batch:
        """A VerifyRequest's wire bytes as a batch of one; raises MalformedRequest."""
        ...

    def verify_many(self, batches: Sequence[Batch]) -> list[bytes]:
        """All verdicts of several batches of this backend, in one call."""
        ...


def load_backend(name: str | None = None) -> Backend:
    """The backend of that name, or without one the kernel where it is installed, else the portable.

    Raises ImportError where the kernel is asked for and not installed, ValueError for a name that
    is neither "kernel" nor "portable".
    """
    if name not in (None, "kernel", "portable"):
        raise ValueError(f'there is no backend {name!r}: it is "kernel" or "portable"')
    if name != "portable":
        try:
            from signatures.native import KernelBackend
        except ImportError:
            if name == "kernel":
                raise
        else:
            return KernelBackend()
    from signatures.portable import PortableBackend

    return PortableBackend()
