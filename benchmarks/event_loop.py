"""How long an event loop is held: the CPU of each of its callbacks, one by one.

Asyncio's own loop is measured, since uvloop's callbacks cannot be looked at;
what runs in them is the same. The thread's CPU is counted and not the time that
passes, which other threads and processes share.
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
    """A list that the milliseconds of each callback are added to, of all loops meanwhile."""
    handle: Any = asyncio.Handle
    run, held = handle._run, []

    def timed(self: asyncio.Handle) -> None:
        began = time.thread_time()
        run(self)
        held.append((time.thread_time() - began) * 1e3)

    # As a service does at its start (services/runtime/process.py): what the bench itself keeps is
    # not for the collector to go through in one of the callbacks.
    gc.collect()
    gc.freeze()
    handle._run = timed
    try:
        yield held
    finally:
        handle._run = run
        gc.unfreeze()
