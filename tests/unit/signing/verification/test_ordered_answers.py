"""A stream's answers come in the order of the requests, a bounded number of them at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from services.signing.verification.ordered_answers import OrderedAnswers


class Requests:
    """Numbered requests, as many as are said; counts those that were read."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.read = 0

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if self.read == self.count:
            raise StopAsyncIteration
        self.read += 1
        return b"%d" % (self.read - 1)


async def settle() -> None:
    """Let everything that is ready on the loop run."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_answers_come_in_the_order_of_the_requests_whichever_is_ready_first() -> None:
    gates = [asyncio.Event() for _ in range(3)]

    async def answer(request: bytes) -> bytes:
        await gates[int(request)].wait()
        return request

    answers = OrderedAnswers(Requests(3), answer, limit=3)
    gates[2].set()
    gates[1].set()
    await settle()
    gates[0].set()
    for expected in (b"0", b"1", b"2", None):
        assert await answers.next() == expected
        answers.taken()


async def test_no_more_requests_are_read_than_have_a_place() -> None:
    async def answer(request: bytes) -> bytes:
        return request

    requests = Requests(100)
    answers = OrderedAnswers(requests, answer, limit=2)
    for taken in range(5):
        await settle()
        assert requests.read == taken + 2
        await answers.next()
        await settle()
        assert requests.read == taken + 2
        answers.taken()
    answers.close()


async def test_what_an_answer_or_the_requests_raise_is_raised() -> None:
    async def defect(_: bytes) -> bytes:
        raise RuntimeError("answer")

    answers = OrderedAnswers(Requests(1), defect, limit=2)
    with pytest.raises(RuntimeError, match="answer"):
        await answers.next()

    class Broken(Requests):
        async def __anext__(self) -> bytes:
            raise RuntimeError("requests")

    answers = OrderedAnswers(Broken(1), defect, limit=2)
    with pytest.raises(RuntimeError, match="requests"):
        await answers.next()


async def test_closing_ends_the_reader_and_the_answers_under_way() -> None:
    ended = asyncio.Event()

    async def answer(_: bytes) -> bytes:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return b""

    requests = Requests(100)
    answers = OrderedAnswers(requests, answer, limit=1)
    await settle()
    answers.close()
    async with asyncio.timeout(10):
        await ended.wait()
    await settle()
    assert requests.read == 1
