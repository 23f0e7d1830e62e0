from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from phones.clock import NetworkClock
from services.runtime.clock import system_clock
from tests.clock import Clock

NOON = datetime(2026, 11, 27, 12, tzinfo=UTC)


async def test_a_held_clock_stands_still() -> None:
    real = Clock(NOON)
    clock = NetworkClock(real, held=True)
    done: list[str] = []
    clock.call_after(1, lambda: done.append("late"))
    real.move(days=1)
    await asyncio.sleep(0)
    assert (clock.now(), done) == (NOON, [])


async def test_what_is_due_is_done_in_its_order_and_at_its_time() -> None:
    clock = NetworkClock(Clock(NOON), held=True)
    done: list[tuple[str, datetime]] = []
    clock.call_after(20, lambda: done.append(("third", clock.now())))
    clock.call_after(10, lambda: done.append(("first", clock.now())))

    def second() -> None:
        done.append(("second", clock.now()))
        clock.call_after(15, lambda: done.append(("fourth", clock.now())))

    clock.call_after(10, second)
    clock.advance(24)
    assert [name for name, _ in done] == ["first", "second", "third"]
    clock.advance(1)
    times = [(at - NOON).total_seconds() for _, at in done]
    assert times == [10, 10, 20, 25]
    assert clock.now() == NOON + timedelta(seconds=25)


async def test_nothing_to_wait_for_is_done_at_once() -> None:
    clock = NetworkClock(Clock(NOON), held=True)
    done: list[int] = []
    clock.call_after(0, lambda: done.append(1))
    clock.call_after(-5, lambda: done.append(2))
    assert done == [1, 2]


async def test_time_does_not_run_backwards() -> None:
    clock = NetworkClock(Clock(NOON), held=True)
    with pytest.raises(ValueError, match="backwards"):
        clock.advance(-1)


async def test_a_running_clock_does_what_is_due() -> None:
    clock = NetworkClock(system_clock)
    done = asyncio.Event()
    clock.call_after(0.001, done.set)
    async with asyncio.timeout(10):
        await done.wait()


async def test_a_released_clock_runs_on_from_where_it_was_held() -> None:
    real = Clock(NOON)
    clock = NetworkClock(real, held=True)
    clock.advance(60)
    real.move(hours=1)
    clock.release()
    assert clock.now() == NOON + timedelta(seconds=60)
    real.move(seconds=5)
    assert clock.now() == NOON + timedelta(seconds=65)
    clock.hold()
    real.move(seconds=5)
    assert clock.now() == NOON + timedelta(seconds=65)


async def test_a_running_clock_can_be_moved() -> None:
    real = Clock(NOON)
    clock = NetworkClock(real)
    done: list[datetime] = []
    clock.call_after(3600, lambda: done.append(clock.now()))
    clock.advance(7200)
    assert done == [NOON + timedelta(hours=1)]
    assert clock.now() == NOON + timedelta(hours=2)
    assert not clock.is_held
