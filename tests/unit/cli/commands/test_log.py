"""`qagazsyz log follow`: an extension of the last tree is accepted, any other tree is a fork."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cli.commands.log import Followed, Fork, accept
from qagazsyz import merkle, notes

KEY = Ed25519PrivateKey.from_private_bytes(bytes(31) + b"\x01")
VERIFIER = notes.verifier_key("log.test.example", KEY)


def root(leaves: Sequence[bytes]) -> bytes:
    """Compute the tree's root as RFC 9162, section 2.1.1, defines it."""
    if len(leaves) < 2:
        return leaves[0] if leaves else merkle.EMPTY_ROOT
    left = 1 << (len(leaves) - 1).bit_length() - 1
    return merkle.node_hash(root(leaves[:left]), root(leaves[left:]))


def consistency(first: int, leaves: Sequence[bytes], whole: bool = True) -> list[bytes]:
    """Compute the proof that the tree extends that of its first leaves (section 2.1.4.1)."""
    if first == len(leaves):
        return [] if whole else [root(leaves)]
    left = 1 << (len(leaves) - 1).bit_length() - 1
    if first <= left:
        return [*consistency(first, leaves[:left], whole), root(leaves[left:])]
    return [*consistency(first - left, leaves[left:], False), root(leaves[:left])]


def history(word: str, size: int) -> list[bytes]:
    return [merkle.leaf_hash(f"{word} {number}".encode()) for number in range(size)]


def checkpoint(leaves: Sequence[bytes], key: Ed25519PrivateKey = KEY) -> bytes:
    text = notes.Checkpoint(VERIFIER.name, len(leaves), root(leaves)).text
    return bytes(notes.Note(text, (notes.sign(text, VERIFIER, key),)))


ENTRIES = history("entry", 40)


def prove(first: int, second: int) -> list[bytes]:
    return consistency(first, ENTRIES[:second]) if first else []


START = Followed(VERIFIER, b"")


def test_a_log_that_grows_is_followed() -> None:
    followed = START
    for size in (0, 1, 2, 3, 7, 8, 8, 21, 40):
        followed = accept(followed, checkpoint(ENTRIES[:size]), prove)
    assert followed.checkpoint == checkpoint(ENTRIES)


def test_an_older_tree_of_the_same_history_changes_nothing() -> None:
    followed = Followed(VERIFIER, checkpoint(ENTRIES[:30]))
    assert accept(followed, checkpoint(ENTRIES[:20]), prove) is followed


@pytest.mark.parametrize("size", [13, 30, 40])
def test_another_history_is_a_fork_at_any_size(size: int) -> None:
    followed = Followed(VERIFIER, checkpoint(ENTRIES[:30]))
    other = [*ENTRIES[:5], *history("other", size - 5)]
    with pytest.raises(Fork):
        accept(followed, checkpoint(other), prove)


def test_a_checkpoint_by_another_key_is_refused() -> None:
    with pytest.raises(notes.NoteError):
        accept(START, checkpoint(ENTRIES, Ed25519PrivateKey.generate()), prove)


def test_the_state_comes_back_from_its_file(tmp_path: Path) -> None:
    followed = Followed(VERIFIER, checkpoint(ENTRIES[:9]))
    followed.save(tmp_path / "state")
    assert Followed.load(tmp_path / "state") == followed
