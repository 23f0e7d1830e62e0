"""Read verifier keys of logs and witnesses (C2SP signed-note) from files."""

from __future__ import annotations

from pathlib import Path

from cli.errors import Failure
from qagazsyz import notes


def read_key(path: Path) -> notes.VerifierKey:
    """Read one verifier key. Raises Failure."""
    try:
        return notes.VerifierKey.parse(path.read_text())
    except (notes.NoteError, UnicodeDecodeError) as error:
        raise Failure(f"{path}: not a verifier key: {error}") from None


def read_keys(path: Path) -> list[notes.VerifierKey]:
    """Read verifier keys, a line each, one at least. Raises Failure."""
    try:
        lines = [line for line in path.read_text().splitlines() if line.strip()]
        keys = [notes.VerifierKey.parse(line) for line in lines]
    except (notes.NoteError, UnicodeDecodeError) as error:
        raise Failure(f"{path}: {error}") from None
    if not keys:
        raise Failure(f"{path}: holds no verifier key")
    return keys
