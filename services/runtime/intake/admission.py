"""Admission: slots of a kind of call, shared fairly among callers, and only when they are short.

A pool may be all one caller's, but for a tenth, while nobody else asks. When it is full, a caller
with fewer slots takes the place of the newest call of the caller with most that has not delivered
its body or is idle: such a call has cost its sender next to nothing. So whoever opens a thousand
calls and sends one byte in each keeps nobody out, and loses no more than those calls.
"""

from __future__ import annotations

import asyncio
from types import TracebackType

from services.runtime.errors import DeadlineExceeded, DomainError, ResourceExhausted

# The share of a pool that no single caller uses.
RESERVE = 0.1
RETRY_AFTER_SECONDS = 1.0


class Wait:
    """A block in which a call waits for its sender, and which can be ended from outside.

    A context manager: where the wait was interrupted, it raises the error that was given instead of
    the cancellation by which it was ended. (asyncio.timeout does the same for time alone, at five
    times the price, which each call would pay.)
    """

    __slots__ = ("_error", "_slot", "_task", "_timer")

    def __init__(self, slot: Slot) -> None:
        self._slot = slot
        self._error: DomainError | None = None
        self._task: asyncio.Task[object] | None = None
        self._timer: asyncio.TimerHandle | None = None

    def interrupt(self, error: DomainError) -> None:
        """End the wait; the block raises the error. Only the first one counts."""
        if self._error is None and self._task is not None:
            self._error = error
            self._task.cancel()

    def limit(self, seconds: float) -> None:
        """End the wait with DeadlineExceeded after so many seconds from now."""
        error = DeadlineExceeded("the request did not arrive in time")
        self._timer = asyncio.get_running_loop().call_later(seconds, self.interrupt, error)

    def __enter__(self) -> Wait:
        if self._slot.evicted:
            raise exhausted()
        self._task = asyncio.current_task()
        self._slot.wait = self
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._slot.wait = None
        if self._timer is not None:
            self._timer.cancel()
        if self._error is None or self._task is None or kind is not asyncio.CancelledError:
            return
        # Where the caller has gone as well, its cancellation goes on.
        if self._task.uncancel() == 0:
            raise self._error from None


class Slot:
    """One call's place in a pool; a context manager that gives it back."""

    __slots__ = ("caller", "evicted", "pool", "wait", "weight")

    def __init__(self, pool: Pool, caller: str, weight: int) -> None:
        """weight: what the call takes of the pool, 1 or bytes."""
        self.pool = pool
        self.caller = caller
        self.weight = weight
        # While the call waits for its sender, that wait; else None.
        self.wait: Wait | None = None
        self.evicted = False

    def waiting(self) -> Wait:
        """Return a block to wait for the call's sender in; meanwhile another caller may take the
        place, and the block raises ResourceExhausted."""
        return Wait(self)

    def evict(self) -> None:
        """Give the place back, and end the call's wait for its sender with ResourceExhausted."""
        self.evicted = True
        self.pool.leave(self)
        if self.wait is not None:
            self.wait.interrupt(exhausted())

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
        waiting = {each: [s for s in self._calls[each] if s.wait is not None] for each in left}
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
