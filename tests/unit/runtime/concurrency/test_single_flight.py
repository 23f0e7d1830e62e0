"""Single-flight: concurrent callers of one key share one run of the work."""

from __future__ import annotations

import asyncio

import pytest

from services.runtime.concurrency.single_flight import SingleFlight


class Work:
    """Work that counts its runs, each of which ends once it may."""

    def __init__(self) -> None:
        self.runs = 0
        self.may_end = asyncio.Event()
        self.error: Exception | None = None

    async def __call__(self) -> int:
        self.runs += 1
        run = self.runs
        await self.may_end.wait()
        if self.error is not None:
            raise self.error
        return run


async def test_concurrent_callers_share_one_run() -> None:
    flights: SingleFlight[str, int] = SingleFlight()
    work = Work()
    callers = [asyncio.create_task(flights.do("key", work)) for _ in range(3)]
    await asyncio.sleep(0)
    work.may_end.set()
    assert await asyncio.gather(*callers) == [1, 1, 1]


async def test_another_key_and_a_later_call_run_anew() -> None:
    flights: SingleFlight[str, int] = SingleFlight()
    work = Work()
    work.may_end.set()
    both = await asyncio.gather(flights.do("a", work), flights.do("b", work))
    assert sorted(both) == [1, 2]
    assert flights.find("a") is None
    assert await flights.do("a", work) == 3


async def test_a_caller_that_gives_up_does_not_end_the_run_for_others() -> None:
    flights: SingleFlight[str, int] = SingleFlight()
    work = Work()
    gone, stays = (asyncio.create_task(flights.do("key", work)) for _ in range(2))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.sleep(0)
    work.may_end.set()
    assert await stays == 1


async def test_an_error_reaches_all_who_wait_and_is_not_kept() -> None:
    flights: SingleFlight[str, int] = SingleFlight()
    work = Work()
    work.error = ValueError("no result")
    callers = [asyncio.create_task(flights.do("key", work)) for _ in range(2)]
    await asyncio.sleep(0)
    work.may_end.set()
    results = await asyncio.gather(*callers, return_exceptions=True)
    assert [type(result) for result in results] == [ValueError, ValueError]
    work.error = None
    assert await flights.do("key", work) == 2
    with pytest.raises(ValueError, match="no result"):
        raise results[0]  # type: ignore[misc]
