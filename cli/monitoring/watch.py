"""Watch one log from one or several vantage points, round by round.

A round asks every vantage point for its newest checkpoint, and for the newest cosigned one if
witnesses are known; each must be of the history that was accepted. Every answer of the log counts
for or against it. Only a log that does not answer is unreachable, and one of which nothing could be
proved for too long alarms as well: an attacker who withholds answers must not stay unnoticed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from cli.monitoring.followed import (
    Contradiction,
    Followed,
    NotReached,
    Refused,
    Suspicion,
    accept,
    check_consistent,
    write_durably,
)
from qagazsyz import notes


class View(Protocol):
    """A vantage point: one address of a log. Its methods raise NotReached and Refused."""

    address: str

    def newest(self) -> bytes: ...

    def cosigned(self) -> bytes | None:
        """Return the newest cosigned checkpoint, None if no witness has cosigned yet."""

    def prove(self, first: int, second: int) -> Sequence[bytes]: ...


class Alarm(Exception):
    """The log must be looked into by people; the text says why and where the evidence is."""


@dataclass(slots=True)
class Seen:
    """What the last rounds have found, for people and metrics."""

    tree_size: int = 0
    # POSIX seconds; 0 before the first.
    consistent_time: float = 0.0
    # Rounds by their outcome.
    consistent: int = 0
    not_reached: int = 0
    suspicious: int = 0
    cosigned_size: int = 0
    # By the witness' name: POSIX seconds of its newest cosignature.
    cosigned_times: dict[str, int] = field(default_factory=dict)
    alarm: str = ""


class Watch:
    """Follows one log, and keeps its state in a file, whose modification time says when the log was
    found consistent last. Evidence is kept beside it, in "{name}.fork"."""

    def __init__(
        self,
        state: Path,
        followed: Followed,
        views: Sequence[View],
        *,
        witnesses: Sequence[notes.VerifierKey] = (),
        alarm_after: float,
        clock: Callable[[], float],
    ) -> None:
        """alarm_after: seconds without anything proved, after which the log alarms."""
        self.seen = Seen()
        # Vantage points whose last answer was suspicious: the same again is evidence.
        self._suspects: set[str] = set()
        self._state = state
        self._followed = followed
        self._views = views
        self._witnesses = tuple(witnesses)
        self._alarm_after = alarm_after
        self._clock = clock
        self._since = clock()
        if followed.checkpoint:
            self._since = self.seen.consistent_time = state.stat().st_mtime
            self.seen.tree_size = followed.opened().tree_size

    @property
    def origin(self) -> str:
        return self._followed.key.name

    @property
    def evidence(self) -> Path:
        return self._state.with_name(f"{self._state.name}.fork")

    @property
    def is_suspicious(self) -> bool:
        """Whether the next look decides, and should come soon."""
        return bool(self._suspects)

    def look(self) -> list[str]:
        """Look once from every vantage point; return lines for people. Raises Alarm."""
        if self.evidence.exists():
            raise self._alarm(f"it has forked: {self.evidence} holds the evidence")
        lines: list[str] = []
        is_proved = True
        for view in self._views:
            try:
                lines += self._look_from(view)
                self._suspects.discard(view.address)
            except NotReached as error:
                is_proved = False
                self.seen.not_reached += 1
                lines.append(f"{self.origin}: not reached at {view.address}: {error}")
            except Suspicion as suspicion:
                is_proved = False
                self.seen.suspicious += 1
                self._suspects.add(view.address)
                lines.append(f"{self.origin}: {suspicion}; looking again")
        now = self._clock()
        if is_proved:
            self._since = self.seen.consistent_time = now
            self.seen.consistent += 1
            os.utime(self._state, (now, now))
        elif now - self._since > self._alarm_after:
            raise self._alarm(f"nothing could be proved for {now - self._since:.0f} seconds")
        self._check_witnesses(now)
        return lines

    def _look_from(self, view: View) -> list[str]:
        checkpoint = b""
        try:
            try:
                checkpoint = view.newest()
                accepted = accept(self._followed, checkpoint, view.prove)
                if self._witnesses:
                    self._compare_cosigned(accepted, view)
            except Refused as refused:
                raise Suspicion(f"the log refuses its checkpoint: {refused}") from None
        except Suspicion as suspicion:
            if view.address in self._suspects:
                raise self._forked(f"{suspicion}, twice", checkpoint) from None
            raise
        except (Contradiction, notes.NoteError) as error:
            raise self._forked(str(error), checkpoint) from None
        if accepted is self._followed:
            return []
        accepted.save(self._state)
        self._followed = accepted
        self.seen.tree_size = accepted.opened().tree_size
        return [f"{self.origin}: {self.seen.tree_size} entries, consistent"]

    def _compare_cosigned(self, accepted: Followed, view: View) -> None:
        """Compare the tree that witnesses saw. Raises what check_consistent does, and Alarm."""
        cosigned = view.cosigned()
        if cosigned is None:
            return
        try:
            check_consistent(accepted, cosigned, view.prove)
            times = notes.Note.parse(cosigned).verify(self._witnesses)
        except Suspicion:
            raise
        except (Contradiction, notes.NoteError) as error:
            raise self._forked(f"what witnesses cosigned: {error}", cosigned) from None
        self.seen.cosigned_size = notes.open_checkpoint(cosigned, accepted.key).tree_size
        for witness, time in times.items():
            if time is not None:
                newest = max(time, self.seen.cosigned_times.get(witness.name, 0))
                self.seen.cosigned_times[witness.name] = newest

    def _check_witnesses(self, now: float) -> None:
        """Alarm if no witness has cosigned for too long: a log that shows witnesses another history
        than us gets no cosignatures for ours."""
        if not self._witnesses or now - self._since > self._alarm_after:
            return
        newest = max(self.seen.cosigned_times.values(), default=0)
        if self.seen.consistent and now - newest > self._alarm_after:
            raise self._alarm(f"no witness has cosigned it for {self._alarm_after:.0f} seconds")

    def _forked(self, what: str, checkpoint: bytes) -> Alarm:
        """Keep both notes, and return the alarm."""
        write_durably(self.evidence, self._followed.checkpoint + b"\n" + checkpoint)
        return self._alarm(f"FORK: {what}; both checkpoints are in {self.evidence}")

    def _alarm(self, what: str) -> Alarm:
        self.seen.alarm = what
        return Alarm(f"{self.origin}: {what}")
