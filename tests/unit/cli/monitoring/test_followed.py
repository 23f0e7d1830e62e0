"""An extension of the last tree is accepted; any other is a fork, or suspicious."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cli.errors import Failure
from cli.monitoring.followed import Followed, Fork, Refused, Suspicion, accept
from qagazsyz import notes
from tests.unit.cli.monitoring.shown_log import ENTRIES, VERIFIER, checkpoint, history, prove

START = Followed(VERIFIER, b"")


def test_a_log_that_grows_is_followed() -> None:
    followed = START
    for size in (0, 1, 2, 3, 7, 8, 8, 21, 40):
        followed = accept(followed, checkpoint(ENTRIES[:size]), prove)
    assert followed.checkpoint == checkpoint(ENTRIES)


def test_a_smaller_tree_is_suspicious_whether_or_not_it_is_proved() -> None:
    followed = Followed(VERIFIER, checkpoint(ENTRIES[:30]))
    with pytest.raises(Suspicion, match="20 entries after it had 30"):
        accept(followed, checkpoint(ENTRIES[:20]), prove)

    def refuse(_first: int, _second: int) -> list[bytes]:
        raise Refused("INVALID_ARGUMENT: the log has 20 entries")

    with pytest.raises(Suspicion, match="20 entries after it had 30"):
        accept(followed, checkpoint(ENTRIES[:20]), refuse)


def test_a_refused_proof_to_a_signed_tree_is_suspicious() -> None:
    def refuse(_first: int, _second: int) -> list[bytes]:
        raise Refused("INTERNAL: internal error")

    followed = Followed(VERIFIER, checkpoint(ENTRIES[:30]))
    with pytest.raises(Suspicion, match="refuses the proof from 30 to 40"):
        accept(followed, checkpoint(ENTRIES), refuse)


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


def test_a_state_that_its_key_has_not_signed_is_refused(tmp_path: Path) -> None:
    forged = checkpoint(ENTRIES[:9], Ed25519PrivateKey.generate())
    Followed(VERIFIER, forged).save(tmp_path / "state")
    with pytest.raises(Failure, match="not a state"):
        Followed.load(tmp_path / "state")
