"""Measure how long each callback holds an event loop.

The loop is asyncio's, because uvloop's callbacks cannot be intercepted; what runs in them is the
same. What counts is the thread's CPU time, because other threads and processes share the wall time.
"""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def callbacks() -> Iterator[list[float]]:
    """Yield a list, to which the milliseconds of each callback of all loops are added meanwhile."""
    handle: Any = asyncio.Handle
    run, held = handle._run, []

    def timed(self: asyncio.Handle) -> None:
        began = time.thread_time()
        run(self)
        held.append((time.thread_time() - began) * 1e3)

    # As a service does at its start (services/runtime/process.py): otherwise the garbage collector
    # traverses the bench's own objects in one of the callbacks.
    gc.collect()
    gc.freeze()
    handle._run = timed
    try:
        yield held
    finally:
        handle._run = run
        gc.unfreeze()
