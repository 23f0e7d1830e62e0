"""Background work of a process: rounds that repeat, and survive one that fails."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

log = logging.getLogger(__name__)

Work = Callable[[], Awaitable[object]]
Sleep = Callable[[float], Awaitable[None]]


async def every(seconds: float, work: Work, *, name: str, sleep: Sleep = asyncio.sleep) -> None:
    """Wait `seconds`, run work, and again, until cancelled.

    A round that fails is logged under `name` by the class of its exception - the text may hold
    personal data - and the next one is tried: a database that is away for a moment must not end
    housekeeping for good.
    """
    while True:
        await sleep(seconds)
        await _attempt(work, name)


async def until_done(
    work: Work, *, name: str, retry_seconds: float, sleep: Sleep = asyncio.sleep
) -> None:
    """Run work until one round succeeds, `retry_seconds` apart; log each that fails, as every."""
    while not await _attempt(work, name):
        await sleep(retry_seconds)


@asynccontextmanager
async def in_background(*work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run coroutines beside the block; at its end, cancel them and wait until they have ended."""
    tasks = [asyncio.create_task(one) for one in work]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _attempt(work: Work, name: str) -> bool:
    try:
        await work()
    except Exception as error:
        log.warning("%s failed", name, extra={"exception": type(error).__name__})
        return False
    return True
