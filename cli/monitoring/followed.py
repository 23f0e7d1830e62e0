"""What a monitor keeps of a log, and the rule by which one more checkpoint is judged.

Two kinds of contradiction are told apart. A Fork proves itself: two signed checkpoints of which
neither extends the other. A Suspicion could be the race of one request - a smaller tree, a proof
that was refused - and becomes evidence if the next look finds it again.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cli.errors import Failure
from qagazsyz import merkle, notes

# Fetches the consistency proof between two tree sizes. Raises NotReached and Refused.
Prove = Callable[[int, int], Sequence[bytes]]


class NotReached(Exception):
    """The log did not answer: nothing follows for or against it."""


class Refused(Exception):
    """The log answered, and did not give what it was asked for; the text is its status."""


class Contradiction(Exception):
    """What the log shows does not continue what it showed before."""


class Fork(Contradiction):
    """Two checkpoints of one log contradict each other."""


class Suspicion(Contradiction):
    """The log shows less than it has shown, or withholds a proof; one race may look so too."""


@dataclass(frozen=True, slots=True)
class Followed:
    """A monitor's state: the log's key, and the newest checkpoint that it accepted."""

    key: notes.VerifierKey
    checkpoint: bytes

    @classmethod
    def load(cls, path: Path) -> Followed:
        """Read a state file: the key's line, an empty line, the checkpoint. Raises Failure."""
        line, _, checkpoint = path.read_bytes().partition(b"\n\n")
        try:
            followed = cls(notes.VerifierKey.parse(line.decode()), checkpoint)
            if checkpoint:
                notes.open_checkpoint(checkpoint, followed.key)
        except (notes.NoteError, UnicodeDecodeError) as error:
            raise Failure(f"{path}: not a state of qagazsyz log follow: {error}") from None
        return followed

    def save(self, path: Path) -> None:
        """Write the state file atomically."""
        write_durably(path, f"{self.key}\n\n".encode() + self.checkpoint)

    def opened(self) -> notes.Checkpoint:
        """Return the accepted checkpoint. Raises NoteError before the first."""
        return notes.open_checkpoint(self.checkpoint, self.key)


def accept(followed: Followed, checkpoint: bytes, prove: Prove) -> Followed:
    """Judge the log's newest checkpoint by the last accepted one; return the state after it.

    Raises Fork if neither tree begins with the other, Suspicion if the tree is smaller than the
    accepted one or its proof is refused, NoteError if the log's key has not signed it.
    """
    new = notes.open_checkpoint(checkpoint, followed.key)
    if not followed.checkpoint:
        return Followed(followed.key, checkpoint)
    last = followed.opened()
    check_consistent(followed, checkpoint, prove)
    if new.tree_size < last.tree_size:
        raise _smaller(last, new)
    return Followed(followed.key, checkpoint) if new.tree_size > last.tree_size else followed


def check_consistent(followed: Followed, checkpoint: bytes, prove: Prove) -> None:
    """Check that the checkpoint and the accepted one, whichever is larger, are of one history.

    Raises Fork, Suspicion if the log refuses the proof, and NoteError.
    """
    new = notes.open_checkpoint(checkpoint, followed.key)
    if not followed.checkpoint:
        return
    last = followed.opened()
    older, newer = sorted((last, new), key=lambda tree: tree.tree_size)
    try:
        path = prove(older.tree_size, newer.tree_size) if older.tree_size != newer.tree_size else ()
        merkle.verify_consistency(
            older.tree_size, newer.tree_size, path, older.root_hash, newer.root_hash
        )
    except Refused as refused:
        if new.tree_size < last.tree_size:
            raise _smaller(last, new) from None
        raise Suspicion(
            f"the log refuses the proof from {older.tree_size} to {newer.tree_size} entries, "
            f"both signed: {refused}"
        ) from None
    except merkle.ProofError as error:
        raise Fork(
            f"the tree of size {newer.tree_size} does not begin with that of "
            f"{older.tree_size}: {error}"
        ) from None


def _smaller(last: notes.Checkpoint, new: notes.Checkpoint) -> Suspicion:
    return Suspicion(f"the log shows {new.tree_size} entries after it had {last.tree_size}")


def write_durably(path: Path, data: bytes) -> None:
    """Write a file atomically, and flush it."""
    draft = path.with_name(f"{path.name}.new")
    with draft.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
