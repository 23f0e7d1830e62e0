"""Rounds of a monitor: what alarms, what is unreachable, and what evidence is kept."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from cli.monitoring.followed import Followed, Refused
from cli.monitoring.watch import Alarm, Watch
from qagazsyz import notes
from tests.unit.cli.monitoring.shown_log import (
    AWAY,
    ENTRIES,
    OTHER,
    VERIFIER,
    WITNESS,
    ShownLog,
    checkpoint,
    cosigned,
)

ALARM_AFTER = 100.0


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def watch_of(
    state: Path,
    clock: Clock,
    *views: ShownLog,
    witnesses: Sequence[notes.VerifierKey] = (),
) -> Watch:
    followed = Followed.load(state) if state.exists() else Followed(VERIFIER, b"")
    return Watch(state, followed, views, witnesses=witnesses, alarm_after=ALARM_AFTER, clock=clock)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


def test_a_growing_log_is_followed_and_its_state_kept(state: Path, clock: Clock) -> None:
    shown = ShownLog(ENTRIES[:30])
    watch = watch_of(state, clock, shown)
    assert watch.look() == ["log.test.example: 30 entries, consistent"]
    assert watch.look() == []
    shown.leaves = ENTRIES
    watch.look()
    assert Followed.load(state).checkpoint == checkpoint(ENTRIES)
    assert (watch.seen.consistent, watch.seen.tree_size) == (3, 40)


def test_a_log_that_was_rolled_back_alarms_at_the_second_look(state: Path, clock: Clock) -> None:
    shown = ShownLog(ENTRIES[:30])
    watch = watch_of(state, clock, shown)
    watch.look()
    shown.leaves = ENTRIES[:20]
    (line,) = watch.look()
    assert "looking again" in line
    assert watch.is_suspicious
    with pytest.raises(Alarm, match="20 entries after it had 30, twice"):
        watch.look()
    evidence = watch.evidence.read_bytes()
    assert evidence == checkpoint(ENTRIES[:30]) + b"\n" + checkpoint(ENTRIES[:20])


def test_a_smaller_tree_seen_once_is_a_race(state: Path, clock: Clock) -> None:
    shown = ShownLog(ENTRIES[:30])
    watch = watch_of(state, clock, shown)
    for leaves in (ENTRIES[:30], ENTRIES[:20], ENTRIES[:30], ENTRIES[:20], ENTRIES):
        shown.leaves = leaves
        watch.look()
    assert not watch.is_suspicious
    assert not watch.evidence.exists()


@pytest.mark.parametrize("size", [13, 30, 40])
def test_another_history_alarms_at_once(size: int, state: Path, clock: Clock) -> None:
    shown = ShownLog(ENTRIES[:30])
    watch = watch_of(state, clock, shown)
    watch.look()
    shown.leaves = OTHER[:size]
    if size < 30:  # it refuses the proof to a tree that it does not have
        watch.look()
    with pytest.raises(Alarm):
        watch.look()
    assert checkpoint(OTHER[:size]) in watch.evidence.read_bytes()


def test_a_withheld_proof_alarms(state: Path, clock: Clock) -> None:
    shown = ShownLog(ENTRIES[:30])
    watch = watch_of(state, clock, shown)
    watch.look()
    shown.leaves, shown.proof_failure = ENTRIES, Refused("INTERNAL: internal error")
    watch.look()
    with pytest.raises(Alarm, match="refuses the proof from 30 to 40"):
        watch.look()
    assert Followed.load(state).checkpoint == checkpoint(ENTRIES[:30])


def test_a_refused_checkpoint_alarms(state: Path, clock: Clock) -> None:
    shown = ShownLog(ENTRIES)
    watch = watch_of(state, clock, shown)
    watch.look()
    shown.failure = Refused("NOT_FOUND: ")
    watch.look()
    with pytest.raises(Alarm, match="refuses its checkpoint: NOT_FOUND"):
        watch.look()


def test_an_outage_between_two_looks_does_not_clear_a_suspicion(state: Path, clock: Clock) -> None:
    shown = ShownLog(ENTRIES[:30])
    watch = watch_of(state, clock, shown)
    watch.look()
    shown.leaves = ENTRIES[:20]
    watch.look()
    shown.failure = AWAY
    watch.look()
    shown.failure = None
    with pytest.raises(Alarm):
        watch.look()


def test_an_unreachable_log_alarms_only_after_long(state: Path, clock: Clock) -> None:
    shown = ShownLog(ENTRIES)
    watch = watch_of(state, clock, shown)
    watch.look()
    shown.failure = AWAY
    clock.now += ALARM_AFTER
    assert watch.look() == ["log.test.example: not reached at log.test.example:8080: UNAVAILABLE"]
    clock.now += 1
    with pytest.raises(Alarm, match="nothing could be proved for 101 seconds"):
        watch.look()
    assert not watch.evidence.exists()


def test_how_long_nothing_was_proved_outlives_the_process(state: Path, clock: Clock) -> None:
    watch_of(state, clock, ShownLog(ENTRIES)).look()
    clock.now += ALARM_AFTER + 1
    with pytest.raises(Alarm, match="nothing could be proved"):
        watch_of(state, clock, ShownLog(ENTRIES, failure=AWAY)).look()


def test_a_log_with_evidence_is_not_followed_on(state: Path, clock: Clock) -> None:
    shown = ShownLog(ENTRIES[:30])
    watch = watch_of(state, clock, shown)
    watch.look()
    watch.evidence.write_bytes(b"two notes")
    with pytest.raises(Alarm, match="holds the evidence"):
        watch_of(state, clock, shown).look()
    assert watch.evidence.read_bytes() == b"two notes"


def test_another_vantage_point_that_is_shown_another_history_alarms(
    state: Path, clock: Clock
) -> None:
    one, two = ShownLog(ENTRIES[:30]), ShownLog(OTHER[:30], address="two")
    with pytest.raises(Alarm, match="FORK"):
        watch_of(state, clock, one, two).look()


def test_what_witnesses_cosigned_is_compared(state: Path, clock: Clock) -> None:
    now = int(clock.now)
    shown = ShownLog(ENTRIES[:30], cosigned_checkpoint=cosigned(ENTRIES[:20], now - 3))
    watch = watch_of(state, clock, shown, witnesses=[WITNESS])
    watch.look()
    assert watch.seen.cosigned_size == 20
    assert watch.seen.cosigned_times == {WITNESS.name: now - 3}
    shown.cosigned_checkpoint = cosigned(OTHER[:20], now)
    with pytest.raises(Alarm, match="what witnesses cosigned"):
        watch.look()
    assert cosigned(OTHER[:20], now) in watch.evidence.read_bytes()


def test_a_log_that_witnesses_no_longer_cosign_alarms(state: Path, clock: Clock) -> None:
    shown = ShownLog(ENTRIES, cosigned_checkpoint=cosigned(ENTRIES, int(clock.now)))
    watch = watch_of(state, clock, shown, witnesses=[WITNESS])
    watch.look()
    clock.now += ALARM_AFTER + 1
    with pytest.raises(Alarm, match="no witness has cosigned it for 100 seconds"):
        watch.look()
