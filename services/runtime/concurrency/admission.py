"""Admission: slots of a kind of call, shared fairly among callers, and only when they are short.

A pool may be all one caller's, but for a tenth, while nobody else asks. When it is full, a caller
with fewer slots takes the place of the newest call of the caller with most that has not delivered
its body or is idle: such a call has cost its sender next to nothing. So whoever opens a thousand
calls and sends one byte in each keeps nobody out, and loses no more than those calls.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from services.runtime.errors import DeadlineExceeded, ResourceExhausted

# The share of a pool that no single caller uses.
RESERVE = 0.1
RETRY_AFTER_SECONDS = 1.0


@dataclass(eq=False, slots=True)
class Slot:
    """One call's place in a pool; a context manager that gives it back."""

    pool: Pool
    caller: str
    # What the call takes of the pool: 1, or bytes.
    weight: int
    # While the call waits for its sender, what ends that wait; else None.
    waits: asyncio.Timeout | None = None
    evicted: bool = False

    @asynccontextmanager
    async def waiting(self, seconds: float | None = None) -> AsyncIterator[None]:
        """Wait for the call's sender in this block; meanwhile another caller may take the place.

        Raises ResourceExhausted if one did, DeadlineExceeded if `seconds` passed.
        """
        if self.evicted:
            raise exhausted()
        try:
            async with asyncio.timeout(seconds) as self.waits:
                yield
        except TimeoutError:
            if self.evicted:
                raise exhausted() from None
            raise DeadlineExceeded("the request did not arrive in time") from None
        finally:
            self.waits = None

    def evict(self) -> None:
        """End the call's wait for its sender with RESOURCE_EXHAUSTED, and give its place back."""
        self.evicted = True
        self.pool.leave(self)
        if self.waits is not None:
            self.waits.reschedule(asyncio.get_running_loop().time())

    def resize(self, weight: int) -> None:
        """Take less of the pool."""
        self.pool.resize(self, weight)

    def __enter__(self) -> Slot:
        return self

    def __exit__(self, *_: object) -> None:
        self.pool.leave(self)


class Pool:
    """Slots, or bytes, that calls of one kind share."""

    def __init__(self, capacity: int, *, reserve: float = RESERVE) -> None:
        """capacity: the sum of the weights of all calls at once."""
        self._capacity = capacity
        self._callers_limit = capacity - int(capacity * reserve)
        # A caller's calls, the newest last.
        self._calls: dict[str, dict[Slot, None]] = {}
        self._held: dict[str, int] = {}
        self.used = 0

    def enter(self, caller: str, weight: int = 1) -> Slot:
        """Return a slot for a call. Raises ResourceExhausted if there is none to be had.

        A caller's only call is let in even where it weighs more than one caller may hold.
        """
        held = self._held.get(caller, 0)
        if held and held + weight > self._callers_limit:
            raise exhausted()
        if self.used + weight > self._capacity:
            self._make_room(caller, held, weight)
        slot = Slot(self, caller, weight)
        self._calls.setdefault(caller, {})[slot] = None
        self._held[caller] = held + weight
        self.used += weight
        return slot

    def leave(self, slot: Slot) -> None:
        """Give the slot back; a second time does nothing."""
        calls = self._calls.get(slot.caller)
        if calls is None or slot not in calls:
            return
        del calls[slot]
        self.used -= slot.weight
        self._held[slot.caller] -= slot.weight
        if not calls:
            del self._calls[slot.caller], self._held[slot.caller]

    def resize(self, slot: Slot, weight: int) -> None:
        """Change what a slot takes to less, now that it is known."""
        if slot in self._calls.get(slot.caller, ()):
            self.used -= slot.weight - weight
            self._held[slot.caller] -= slot.weight - weight
        slot.weight = weight

    def _make_room(self, caller: str, held: int, weight: int) -> None:
        """Evict waiting calls of those who hold most until weight fits. Raises ResourceExhausted,
        having evicted none, where too few may be."""
        room = self._capacity - self.used
        chosen: list[Slot] = []
        left = {each: total for each, total in self._held.items() if each != caller}
        waiting = {each: [s for s in self._calls[each] if s.waits is not None] for each in left}
        while room < weight:
            # Who holds nothing comes in before anybody's second call; else only who is far behind,
            # so that two callers do not take one place from each other in turns.
            candidates = [
                each for each in left if waiting[each] and (not held or left[each] > held + weight)
            ]
            if not candidates:
                raise exhausted()
            most = max(candidates, key=left.__getitem__)
            slot = waiting[most].pop()
            chosen.append(slot)
            left[most] -= slot.weight
            room += slot.weight
        for slot in chosen:
            slot.evict()


def exhausted() -> ResourceExhausted:
    """Return the refusal of a pool that is full."""
    return ResourceExhausted("too many calls at once", RETRY_AFTER_SECONDS)
