"""Differences that the audit reports."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class DifferenceKind(StrEnum):
    """The part that differs: of the registry, or of identity from the registry."""

    DATABASE = "database"
    HEAD = "head"
    CHECKPOINT = "checkpoint"
    ENTRY = "entry"
    TILE = "tile"
    RECORD = "record"
    CONTENT = "content"
    IDENTITY = "identity"


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not as it was signed. Names records and objects, never their contents."""

    kind: DifferenceKind
    # "entry 12", "tile 0/3", "documents/…", an object's key.
    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"
