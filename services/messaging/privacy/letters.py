"""What of a message is encrypted at rest: the number, and a text or octets."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, repr=False)
class Letter:
    """A phone's number in E.164, and a text in UTF-8 or octets."""

    phone: str
    content: bytes
    is_binary: bool

    def to_bytes(self) -> bytes:
        """Return what from_bytes reads: the number, a zero, the kind, the content."""
        return self.phone.encode() + (b"\0b" if self.is_binary else b"\0t") + self.content

    @classmethod
    def from_bytes(cls, data: bytes) -> Letter:
        phone, _, rest = data.partition(b"\0")
        return cls(phone.decode(), rest[1:], rest[:1] == b"b")
