"""The simulator's clock: runs with the real one, or is held and moved by hand."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable
from datetime import datetime, timedelta


class NetworkClock:
    """Time of the simulated network, and what is due in it.

    While it is held, nothing becomes due but by advance(): a test of what happens after five
    minutes takes none, and a person at the terminal may think as long as they like.
    """

    def __init__(self, real: Callable[[], datetime], *, held: bool = False) -> None:
        self._real = real
        # What to add to the real clock; while held, the time itself.
        self._ahead = timedelta(0)
        self._held_at = real() if held else None
        self._due: list[tuple[datetime, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._wakeup: asyncio.TimerHandle | None = None

    @property
    def is_held(self) -> bool:
        return self._held_at is not None

    def now(self) -> datetime:
        """Return the network's time, UTC."""
        return self._held_at or self._real() + self._ahead

    def call_after(self, seconds: float, action: Callable[[], None]) -> None:
        """Call the action when so much time has passed; at once, within this call, for 0.

        Actions due at one time run in the order in which they were asked for.
        """
        if seconds <= 0:
            action()
            return
        due = self.now() + timedelta(seconds=seconds)
        heapq.heappush(self._due, (due, next(self._numbers), action))
        self._schedule()

    def hold(self) -> None:
        """Stop the clock where it is."""
        self._held_at = self.now()
        self._schedule()

    def release(self) -> None:
        """Let the clock run on from where it was held."""
        if self._held_at is not None:
            self._ahead = self._held_at - self._real()
            self._held_at = None
        self._schedule()

    def advance(self, seconds: float) -> None:
        """Move the time forwards, and do what becomes due on the way, each at its own time."""
        if seconds < 0:
            raise ValueError("time does not run backwards")
        end = self.now() + timedelta(seconds=seconds)
        was_held = self.is_held
        while self._due and self._due[0][0] <= end:
            due, _, action = heapq.heappop(self._due)
            self._held_at = due
            action()
        self._held_at = end
        if not was_held:
            self.release()
        self._schedule()

    def _schedule(self) -> None:
        if self._wakeup is not None:
            self._wakeup.cancel()
            self._wakeup = None
        if self._due and not self.is_held:
            delay = (self._due[0][0] - self.now()).total_seconds()
            self._wakeup = asyncio.get_running_loop().call_later(max(delay, 0), self._run_due)

    def _run_due(self) -> None:
        self._wakeup = None
        while self._due and not self.is_held and self._due[0][0] <= self.now():
            heapq.heappop(self._due)[2]()
        self._schedule()
