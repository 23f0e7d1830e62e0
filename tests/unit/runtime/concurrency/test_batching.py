"""Batching: requests of many callers leave in few calls, and each caller gets its own answers."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence

import grpc
import pytest

from services.runtime.concurrency.batching import PendingQueue, RequestBatcher
from services.runtime.concurrency.halves import EXTRA_CALLS
from services.runtime.errors import Unavailable
from services.runtime.server import Call
from tests.calls import call

MAX_CONCURRENT = 2


class Asked:
    """A call that doubles numbers, once it may; keeps the requests of each call."""

    def __init__(self) -> None:
        self.calls: list[list[int]] = []
        self.during: list[Call | None] = []
        self.may_answer = asyncio.Event()
        self.error: Exception | None = None

    async def __call__(self, questions: Sequence[int], during: Call | None) -> list[int]:
        self.calls.append(list(questions))
        self.during.append(during)
        await self.may_answer.wait()
        if self.error is not None:
            raise self.error
        return [2 * question for question in questions]


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_one_callers_bad_request_fails_for_that_caller_alone() -> None:
    async def send(part: Sequence[int], _during: Call | None) -> list[int]:
        if 13 in part:
            raise RuntimeError("unlucky")
        return [2 * number for number in part]

    batcher = RequestBatcher(send, limit=100, max_concurrent=1)
    asking = [asyncio.create_task(batcher.ask(numbers, None)) for numbers in ([1, 2], [3, 13], [4])]
    first, second, third = await asyncio.gather(*asking, return_exceptions=True)
    assert (first, third) == ([2, 4], [8])
    assert isinstance(second, RuntimeError)


async def test_a_caller_with_many_bad_requests_spoils_none_of_the_others() -> None:
    calls: list[Sequence[int]] = []

    async def send(part: Sequence[int], _during: Call | None) -> list[int]:
        calls.append(part)
        if any(number >= 1_000 for number in part):
            raise RuntimeError("unlucky")
        return list(part)

    others = 60
    questions = [[number] for number in range(others)]
    bad = list(range(1_000, 1_400))
    questions.insert(others // 2, bad)
    batcher = RequestBatcher(send, limit=1_000, max_concurrent=1)
    asking = [asyncio.create_task(batcher.ask(each, None)) for each in questions]
    found = await asyncio.gather(*asking, return_exceptions=True)
    assert isinstance(found.pop(others // 2), RuntimeError)
    assert found == [[number] for number in range(others)]
    # The others have their answers before the bad ones are asked apart.
    last = max(place for place, part in enumerate(calls) if set(part) - set(bad))
    assert not any(set(part) < set(bad) for part in calls[:last])
    assert len(calls) <= 1 + 2 * math.ceil(math.log2(len(questions))) + 1 + EXTRA_CALLS


async def test_a_call_that_is_refused_as_such_is_not_made_again() -> None:
    asked = Asked()
    asked.error = grpc.aio.AioRpcError(
        grpc.StatusCode.UNAUTHENTICATED, grpc.aio.Metadata(), grpc.aio.Metadata()
    )
    asked.may_answer.set()
    batcher = RequestBatcher(asked, limit=10, max_concurrent=1)
    asking = [asyncio.create_task(batcher.ask([number], None)) for number in (1, 2)]
    found = await asyncio.gather(*asking, return_exceptions=True)
    assert all(isinstance(each, grpc.aio.AioRpcError) for each in found)
    assert asked.calls == [[1, 2]]


async def test_a_single_request_is_sent_at_once() -> None:
    asked = Asked()
    batcher = RequestBatcher(asked, limit=10, max_concurrent=MAX_CONCURRENT)
    asking = asyncio.create_task(batcher.ask([1, 2], None))
    await settle()
    assert asked.calls == [[1, 2]]
    asked.may_answer.set()
    assert await asking == [2, 4]


async def test_requests_that_come_meanwhile_are_sent_together() -> None:
    asked = Asked()
    batcher = RequestBatcher(asked, limit=10, max_concurrent=MAX_CONCURRENT)
    first = []
    for number in range(MAX_CONCURRENT):
        first.append(asyncio.create_task(batcher.ask([number], None)))
        await settle()
    later = [asyncio.create_task(batcher.ask([n], None)) for n in (7, 8, 9)]
    await settle()
    assert len(asked.calls) == MAX_CONCURRENT
    asked.may_answer.set()
    assert await asyncio.gather(*first) == [[2 * n] for n in range(MAX_CONCURRENT)]
    assert await asyncio.gather(*later) == [[14], [16], [18]]
    assert asked.calls[MAX_CONCURRENT:] == [[7, 8, 9]]


async def test_no_call_carries_more_than_its_limit() -> None:
    asked = Asked()
    asked.may_answer.set()
    batcher = RequestBatcher(asked, limit=3, max_concurrent=MAX_CONCURRENT)
    numbers = list(range(10))
    assert await batcher.ask(numbers, None) == [2 * number for number in numbers]
    assert all(len(call) <= 3 for call in asked.calls)
    assert await batcher.ask([], None) == []


async def test_fewer_than_min_batch_wait_for_the_call_in_flight() -> None:
    asked = Asked()
    batcher = RequestBatcher(asked, limit=10, max_concurrent=MAX_CONCURRENT, min_batch=3)
    first = asyncio.create_task(batcher.ask([1], None))
    await settle()
    later = [asyncio.create_task(batcher.ask([n], None)) for n in (7, 8)]
    await settle()
    assert asked.calls == [[1]]
    later.append(asyncio.create_task(batcher.ask([9], None)))
    await settle()
    assert asked.calls == [[1], [7, 8, 9]]
    asked.may_answer.set()
    await asyncio.gather(first, *later)


async def test_callers_just_answered_ask_again_together_with_those_who_waited(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("services.runtime.concurrency.batching.GATHER_SECONDS", 60.0)
    asked = Asked()
    batcher = RequestBatcher(asked, limit=10, max_concurrent=MAX_CONCURRENT, min_batch=3)
    one = asyncio.create_task(batcher.ask([1], None))
    await settle()
    other = asyncio.create_task(batcher.ask([2], None))
    await settle()
    asked.may_answer.set()
    await one
    await settle()
    assert asked.calls == [[1]]
    again = asyncio.create_task(batcher.ask([3], None))
    await asyncio.gather(other, again)
    assert asked.calls == [[1], [2, 3]]


async def test_callers_that_do_not_ask_again_are_waited_for_briefly() -> None:
    asked = Asked()
    asked.may_answer.set()
    batcher = RequestBatcher(asked, limit=10, max_concurrent=MAX_CONCURRENT, min_batch=3)
    await asyncio.gather(*(batcher.ask([n], None) for n in (1, 2)))
    assert await batcher.ask([3], None) == [6]
    assert await batcher.ask([4], None) == [8]
    assert asked.calls == [[1, 2], [3], [4]]


async def test_a_failed_call_fails_for_all_who_asked() -> None:
    asked = Asked()
    asked.error = Unavailable("down")
    asked.may_answer.set()
    batcher = RequestBatcher(asked, limit=10, max_concurrent=MAX_CONCURRENT)
    found = await asyncio.gather(
        batcher.ask([1], None), batcher.ask([2], None), return_exceptions=True
    )
    assert all(isinstance(each, Unavailable) for each in found)
    asked.error = None
    assert await batcher.ask([3], None) == [6]


async def test_a_caller_that_left_does_not_affect_the_others() -> None:
    asked = Asked()
    batcher = RequestBatcher(asked, limit=10, max_concurrent=MAX_CONCURRENT)
    gone = asyncio.create_task(batcher.ask([1], None))
    stays = asyncio.create_task(batcher.ask([2], None))
    await settle()
    gone.cancel()
    await settle()
    asked.may_answer.set()
    assert await stays == [4]


async def test_a_shared_call_has_the_latest_deadline_of_its_callers() -> None:
    asked = Asked()
    asked.may_answer.set()
    batcher = RequestBatcher(asked, limit=10, max_concurrent=MAX_CONCURRENT)
    short, long = (call(remaining=seconds) for seconds in (1.0, 9.0))
    await asyncio.gather(batcher.ask([1], short), batcher.ask([2], long))
    assert asked.during == [long]


# --- PendingQueue --------------------------------------------------------------------------------


async def test_a_batch_takes_those_who_waited_longest_up_to_its_weight() -> None:
    queue: PendingQueue[str, str] = PendingQueue(limit=10)
    queue.add(["a"], weight=4)
    queue.add(["b"], weight=6)
    queue.add(["c"], weight=1)
    assert queue.take().requests == ["a", "b"]
    assert (queue.weight, bool(queue)) == (1, True)


async def test_one_heavier_than_the_limit_is_a_batch_alone() -> None:
    queue: PendingQueue[str, str] = PendingQueue(limit=10)
    queue.add(["large"], weight=50)
    queue.add(["small"], weight=1)
    assert queue.take().requests == ["large"]
    assert queue.take().requests == ["small"]
    assert not queue


async def test_callers_that_have_gone_are_not_in_the_batch() -> None:
    queue: PendingQueue[str, str] = PendingQueue(limit=10)
    queue.add(["gone"]).cancel()
    stays = queue.add(["stays"])
    batch = queue.take()
    assert batch.requests == ["stays"]
    batch.answer(["answer"])
    assert await stays == ["answer"]


async def test_an_empty_request_among_others_gets_an_empty_answer() -> None:
    queue: PendingQueue[str, str] = PendingQueue(limit=10)
    nothing, one = queue.add([]), queue.add(["a"])
    queue.take().answer(["A"])
    assert (await nothing, await one) == ([], ["A"])
