"""A pool is one caller's while nobody else asks, and everybody's when it is short."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.runtime.errors import DeadlineExceeded, ResourceExhausted
from services.runtime.intake.admission import Pool, Slot


async def never(slot: Slot) -> None:
    """Wait for a sender that never sends."""
    with slot.waiting():
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
    waits = [asyncio.create_task(never(slot)) for slot in (*of_a, *of_b)]
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
    fill(pool, "a", 9)
    pool.enter("b")
    with pytest.raises(ResourceExhausted):
        pool.enter("c")


async def test_a_stream_that_waits_for_its_next_message_may_be_evicted() -> None:
    pool = Pool(2)
    (slot,) = fill(pool, "a", 1)
    pool.enter("b")
    waiting = asyncio.create_task(never(slot))
    await asyncio.sleep(0)
    pool.enter("c")
    with pytest.raises(ResourceExhausted):
        await waiting


async def test_two_callers_do_not_take_one_place_from_each_other_in_turns() -> None:
    pool = Pool(3, reserve=0)
    waits = [asyncio.create_task(never(slot)) for slot in fill(pool, "a", 2)]
    fill(pool, "b", 1)
    await asyncio.sleep(0)
    with pytest.raises(ResourceExhausted):
        pool.enter("b")
    for wait in waits:
        wait.cancel()


async def test_bytes_are_shared_like_slots_and_nothing_is_evicted_in_vain() -> None:
    pool = Pool(100)
    slots = [pool.enter("a", 30), pool.enter("a", 30)]
    waits = [asyncio.create_task(never(slot)) for slot in slots]
    pool.enter("b", 40)
    await asyncio.sleep(0)
    with pytest.raises(ResourceExhausted):
        pool.enter("c", 90)
    assert pool.used == 100
    pool.enter("c", 50)
    assert pool.used == 90
    for wait in waits:
        with pytest.raises(ResourceExhausted):
            await wait


async def test_a_slot_takes_less_once_its_size_is_known() -> None:
    pool = Pool(100)
    slot = pool.enter("a", 90)
    slot.resize(10)
    assert pool.used == 10
    pool.leave(slot)
    slot.resize(5)
    assert pool.used == 0


async def test_a_sender_that_is_too_slow_is_told_so() -> None:
    slot = Pool(1).enter("a")
    with pytest.raises(DeadlineExceeded), slot.waiting() as wait:
        wait.limit(0)
        await asyncio.Event().wait()


async def test_a_call_that_was_evicted_while_it_worked_ends_at_its_next_wait() -> None:
    slot = Pool(1).enter("a")
    slot.evict()
    with pytest.raises(ResourceExhausted), slot.waiting():
        raise AssertionError("not reached")


async def test_a_caller_that_goes_while_its_call_is_evicted_is_gone() -> None:
    slot = Pool(1).enter("a")
    wait = asyncio.create_task(never(slot))
    await asyncio.sleep(0)
    slot.evict()
    wait.cancel()
    with pytest.raises(asyncio.CancelledError):
        await wait


async def test_what_the_wait_raises_is_raised() -> None:
    slot = Pool(1).enter("a")
    with pytest.raises(ValueError, match="broken"), slot.waiting():
        raise ValueError("broken")


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
            assert pool.used == sum(slot.weight for slot in slots)

    asyncio.run(run())
