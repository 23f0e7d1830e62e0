"""Thread pools: one does not delay another, and long work is cut into parts."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from services.runtime.concurrency import worker_pool
from services.runtime.concurrency.worker_pool import WorkerPool


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """What blocks threads; opened at the end, whatever happened."""
    gate = threading.Event()
    yield gate
    gate.set()


async def test_a_blocked_pool_does_not_delay_another(gate: threading.Event) -> None:
    slow, quick = WorkerPool("slow", 1), WorkerPool("quick", 1)
    blocked = asyncio.ensure_future(slow.run(gate.wait))
    assert await quick.run(lambda: "done") == "done"
    assert not blocked.done()
    gate.set()
    assert await blocked


async def test_work_gets_its_arguments_and_its_error_comes_back() -> None:
    pool = WorkerPool("pool", 1)
    assert await pool.run(int, "11", base=2) == 3
    with pytest.raises(ValueError, match="invalid literal"):
        await pool.run(int, "x")


async def test_results_of_a_map_are_in_order() -> None:
    items = list(range(1_000))
    assert await WorkerPool("pool", 2).map(str, items) == [str(item) for item in items]


async def test_other_calls_run_between_the_parts_of_a_map(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_pool, "PART_SECONDS", 0.0)
    pool = WorkerPool("pool", 1)
    done: list[str] = []
    first = asyncio.ensure_future(pool.map(done.append, ["a1", "a2", "a3"]))
    second = asyncio.ensure_future(pool.map(done.append, ["b1", "b2", "b3"]))
    await asyncio.gather(first, second)
    assert done.index("b1") < done.index("a3")


async def test_a_cancelled_map_ends_with_its_part(
    gate: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_pool, "PART_SECONDS", 0.0)
    pool = WorkerPool("pool", 1)
    entered, done = threading.Event(), []

    def work(item: int) -> None:
        entered.set()
        gate.wait()
        done.append(item)

    call = asyncio.ensure_future(pool.map(work, list(range(100))))
    await asyncio.to_thread(entered.wait)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    gate.set()
    # Behind whatever was left of it.
    await pool.run(lambda: None)
    assert done == [0]
