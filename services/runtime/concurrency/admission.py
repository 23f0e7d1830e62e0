"""Admission: slots of a kind of call, shared fairly among callers, and only when they are short.

A pool may be all one caller's, but for a tenth, while nobody else asks. When it is full, a caller
with fewer slots takes the place of the newest call of the caller with most that has not delivered
its body or is idle: such a call has cost its sender next to nothing. So whoever opens a thousand
calls and sends one byte in each keeps nobody out, and loses no more than those calls.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar

from services.runtime.errors import ResourceExhausted

T = TypeVar("T")

# The share of a pool that no single caller uses.
RESERVE = 0.1
RETRY_AFTER_SECONDS = 1.0


@dataclass(eq=False, slots=True)
class Slot:
    """One call's place in a pool; a context manager that gives it back."""

    _pool: Pool
    caller: str
    # What the call takes of the pool: 1, or bytes.
    weight: int
    # Whether another caller may take the place: its body has not arrived, or it is idle.
    is_idle: bool = True
    _evicted: asyncio.Future[None] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )

    async def wait_for(self, work: Coroutine[Any, Any, T]) -> T:
        """Await the call's body, or its next message. Raises ResourceExhausted, and cancels the
        wait, if another caller takes the place meanwhile."""
        self.is_idle = True
        task = asyncio.create_task(work)
        either: set[asyncio.Future[Any]] = {task, self._evicted}
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if self._evicted.done() and not task.done():
                raise _full()
            return await task
        finally:
            if not task.done():
                task.cancel()
            self.is_idle = False

    def evict(self) -> None:
        """End the call with RESOURCE_EXHAUSTED as soon as it waits."""
        if not self._evicted.done():
            self._evicted.set_result(None)
        self._pool.leave(self)

    def __enter__(self) -> Slot:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.leave(self)


class Pool:
    """Slots, or bytes, that calls of one kind share."""

    def __init__(self, capacity: int, *, reserve: float = RESERVE) -> None:
        """capacity: the sum of the weights of all calls at once."""
        self._capacity = capacity
        self._callers_limit = capacity - int(capacity * reserve)
        self._calls: dict[str, list[Slot]] = {}
        self.used = 0

    def enter(self, caller: str, weight: int = 1) -> Slot:
        """Return a slot for a call. Raises ResourceExhausted if there is none to be had.

        A caller's first call is let in up to the whole capacity even where its weight is beyond
        what one caller may hold.
        """
        held = self._held(caller)
        if held and held + weight > self._callers_limit:
            raise _full()
        if self.used + weight > self._capacity:
            self._make_room(caller, held, weight)
        slot = Slot(self, caller, weight)
        self._calls.setdefault(caller, []).append(slot)
        self.used += weight
        return slot

    def leave(self, slot: Slot) -> None:
        """Give the slot back; a second time does nothing."""
        calls = self._calls.get(slot.caller, [])
        if slot in calls:
            calls.remove(slot)
            self.used -= slot.weight
            if not calls:
                del self._calls[slot.caller]

    def _make_room(self, caller: str, held: int, weight: int) -> None:
        """Evict idle calls of those who hold most until weight fits. Raises ResourceExhausted,
        having evicted none, where too few may be."""
        room = self._capacity - self.used
        chosen: list[Slot] = []
        left = {each: self._held(each) for each in self._calls if each != caller}
        idle = {each: self._idle(each) for each in left}
        while room < weight:
            # Who holds nothing comes in before anybody's second call; else only who is far behind,
            # so that two callers do not take one place from each other in turns.
            candidates = [
                each for each in left if idle[each] and (not held or left[each] > held + weight)
            ]
            if not candidates:
                raise _full()
            most = max(candidates, key=left.__getitem__)
            slot = idle[most].pop()
            chosen.append(slot)
            left[most] -= slot.weight
            room += slot.weight
        for slot in chosen:
            slot.evict()

    def _held(self, caller: str) -> int:
        return sum(slot.weight for slot in self._calls.get(caller, ()))

    def _idle(self, caller: str) -> list[Slot]:
        """A caller's calls that may be evicted, the newest last."""
        return [slot for slot in self._calls[caller] if slot.is_idle]


def _full() -> ResourceExhausted:
    return ResourceExhausted("too many calls at once", RETRY_AFTER_SECONDS)
