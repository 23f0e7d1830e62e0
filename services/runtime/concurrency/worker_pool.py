"""Thread pools for blocking work, one for each kind, so that no kind delays another (bulkheads).

A queue of inspections must not stand before a sign-in. Long work is cut into parts (`map`): between
two parts other calls have their turn, and a cancelled call ends. Threads are started at the first
use. What has no kind of its own (files) runs in the loop's default pool, by asyncio.to_thread.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")
R = TypeVar("R")

# A part of `map` ends with the first item behind this.
PART_SECONDS = 0.01
# How much nicer than the rest of the process a background pool's threads are.
BACKGROUND_NICENESS = 10


class WorkerPool:
    """Threads for one kind of blocking work; the pool lives as long as the process."""

    def __init__(self, name: str, threads: int, *, in_background: bool = False) -> None:
        """in_background: let the event loop and other pools run before these threads."""
        prepare = partial(lower_priority, BACKGROUND_NICENESS) if in_background else None
        self._executor = ThreadPoolExecutor(threads, name, prepare)

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what the work returns. If the call is cancelled while it waits, it never runs."""
        loop = asyncio.get_running_loop()
        # The span of the call, for what the work logs.
        context = copy_context()
        return await loop.run_in_executor(
            self._executor, partial(context.run, work, *args, **kwargs)
        )

    async def map(self, work: Callable[[T], R], items: Sequence[T]) -> list[R]:
        """Return the result for each item, in order, made in parts of PART_SECONDS."""
        results: list[R] = []
        while len(results) < len(items):
            results += await self.run(_part, work, items, len(results))
        return results


def _part(work: Callable[[T], R], items: Sequence[T], start: int) -> list[R]:
    """Return results for items from `start`: those that PART_SECONDS allow, at least one."""
    end = time.perf_counter() + PART_SECONDS
    results: list[R] = []
    for index in range(start, len(items)):
        results.append(work(items[index]))
        if time.perf_counter() >= end:
            break
    return results


def lower_priority(by: int) -> None:
    """Make this thread nicer, so that others run before it: on Linux, where each thread has its
    own nice value."""
    if sys.platform == "linux":
        thread = threading.get_native_id()
        nice = os.getpriority(os.PRIO_PROCESS, thread) + by
        os.setpriority(os.PRIO_PROCESS, thread, min(nice, 19))


# A caller's own signature: of sign-ins, and of confirmed acts.
SIGNATURES = WorkerPool("signatures", 2)
# Requests above DECODED_ON_LOOP_BYTES, decoded and checked.
DECODING = WorkerPool("decoding", 2)
