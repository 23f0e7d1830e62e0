"""Callbacks that hold the event loop are measured while the block runs, and not after it."""

from __future__ import annotations

import asyncio
import time

from benchmarks import event_loop


async def test_callbacks_are_measured_within_the_block_only() -> None:
    def hold() -> None:
        end = time.thread_time() + 0.02
        while time.thread_time() < end:
            pass

    with event_loop.callbacks() as held:
        asyncio.get_running_loop().call_soon(hold)
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    counted = len(held)
    await asyncio.sleep(0)
    assert max(held) >= 20
    assert len(held) == counted
