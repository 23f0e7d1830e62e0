"""A pool is one caller's while nobody else asks, and everybody's when it is short."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.runtime.concurrency.admission import Pool, Slot
from services.runtime.errors import ResourceExhausted


async def never() -> None:
    await asyncio.Event().wait()


def fill(pool: Pool, caller: str, count: int) -> list[Slot]:
    return [pool.enter(caller) for _ in range(count)]


async def test_one_caller_alone_has_all_but_the_reserve() -> None:
    pool = Pool(10)
    fill(pool, "a", 9)
    with pytest.raises(ResourceExhausted):
        pool.enter("a")
    assert pool.enter("b").caller == "b"


async def test_a_slot_that_is_given_back_is_free_again() -> None:
    pool = Pool(1)
    with pool.enter("a"):
        assert pool.used == 1
    with pool.enter("b") as slot:
        pool.leave(slot)
        pool.leave(slot)
    assert pool.used == 0


async def test_the_newest_idle_call_of_the_caller_with_most_makes_room() -> None:
    pool = Pool(10)
    of_a = fill(pool, "a", 8)
    of_b = fill(pool, "b", 2)
    waits = [asyncio.create_task(slot.wait_for(never())) for slot in (*of_a, *of_b)]
    await asyncio.sleep(0)
    pool.enter("c")
    with pytest.raises(ResourceExhausted):
        await waits[7]
    await asyncio.sleep(0)
    assert [wait.done() for wait in waits] == [False] * 7 + [True] + [False] * 2
    for wait in waits:
        wait.cancel()


async def test_a_call_whose_body_has_arrived_is_never_evicted() -> None:
    pool = Pool(10)
    for slot in fill(pool, "a", 9):
        await slot.wait_for(asyncio.sleep(0))
    await pool.enter("b").wait_for(asyncio.sleep(0))
    with pytest.raises(ResourceExhausted):
        pool.enter("c")


async def test_a_stream_that_waits_for_its_next_message_may_be_evicted() -> None:
    pool = Pool(2)
    (slot,) = fill(pool, "a", 1)
    await slot.wait_for(asyncio.sleep(0))
    second = pool.enter("b")
    await second.wait_for(asyncio.sleep(0))
    waiting = asyncio.create_task(slot.wait_for(never()))
    await asyncio.sleep(0)
    pool.enter("c")
    with pytest.raises(ResourceExhausted):
        await waiting


async def test_two_callers_do_not_take_one_place_from_each_other_in_turns() -> None:
    pool = Pool(3, reserve=0)
    fill(pool, "a", 2)
    fill(pool, "b", 1)
    with pytest.raises(ResourceExhausted):
        pool.enter("b")


async def test_bytes_are_shared_like_slots_and_nothing_is_evicted_in_vain() -> None:
    pool = Pool(100)
    idle = [pool.enter("a", 30), pool.enter("a", 30)]
    working = pool.enter("b", 40)
    await working.wait_for(asyncio.sleep(0))
    with pytest.raises(ResourceExhausted):
        pool.enter("c", 90)
    assert pool.used == 100
    pool.enter("c", 50)
    assert pool.used == 90
    for slot in idle:
        with pytest.raises(ResourceExhausted):
            await slot.wait_for(never())


async def test_what_the_wait_raises_is_raised_and_what_it_returns_returned() -> None:
    pool = Pool(1)
    slot = pool.enter("a")

    async def body() -> bytes:
        return b"body"

    async def broken() -> bytes:
        raise ValueError("broken")

    assert await slot.wait_for(body()) == b"body"
    with pytest.raises(ValueError, match="broken"):
        await slot.wait_for(broken())


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.booleans()), max_size=200))
def test_no_history_fills_a_pool_over_its_capacity(history: list[tuple[str, bool]]) -> None:
    async def run() -> None:
        pool = Pool(10)
        slots: list[Slot] = []
        for caller, enters in history:
            if enters:
                try:
                    slots.append(pool.enter(caller))
                except ResourceExhausted:
                    assert pool.used >= 9
            elif slots:
                pool.leave(slots.pop())
            assert 0 <= pool.used <= 10
        # Whoever holds nothing is let in while somebody has an idle call to lose.
        pool.enter("newcomer")

    asyncio.run(run())
