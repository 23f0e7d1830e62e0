"""Single-flight: while work for a key is under way, others who need it wait for the same result."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class SingleFlight(Generic[K, V]):
    """Tasks under way, by key. Results are not kept: that is a cache's work."""

    def __init__(self) -> None:
        self._under_way: dict[K, asyncio.Task[V]] = {}

    def find(self, key: K) -> asyncio.Task[V] | None:
        """Return the task that is under way for the key, or None."""
        return self._under_way.get(key)

    def start(self, key: K, work: Callable[[], Coroutine[Any, Any, V]]) -> asyncio.Task[V]:
        """Return the key's task, starting it where none is under way.

        Await it behind asyncio.shield: a caller that gives up must not end it for the others.
        """
        task = self._under_way.get(key)
        if task is None:
            task = asyncio.create_task(work())
            self._under_way[key] = task
            task.add_done_callback(lambda _: self._under_way.pop(key, None))
        return task

    async def do(self, key: K, work: Callable[[], Coroutine[Any, Any, V]]) -> V:
        """Return the result of work for the key. Raises what it raises, to all who wait."""
        return await asyncio.shield(self.start(key, work))
