"""Background work survives a failing round, logs it, and ends with its block."""

from __future__ import annotations

import asyncio
import logging

import pytest
from sqlalchemy.exc import OperationalError

from services.runtime.concurrency.housekeeping import every, in_background, until_done


class Rounds:
    """Work whose first rounds fail, and a sleep that ends after so many rounds."""

    def __init__(self, *, failing: int, ending: int = 1_000) -> None:
        self.failing = failing
        self.ending = ending
        self.count = 0
        self.slept: list[float] = []

    async def work(self) -> None:
        self.count += 1
        if self.count <= self.failing:
            raise OperationalError("SELECT 'IIN 900101300017'", {}, Exception("disk I/O error"))

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        if self.count == self.ending:
            raise asyncio.CancelledError


async def test_a_failing_round_is_logged_without_its_text_and_the_next_one_runs(
    caplog: pytest.LogCaptureFixture,
) -> None:
    rounds = Rounds(failing=2, ending=4)
    with caplog.at_level(logging.WARNING), pytest.raises(asyncio.CancelledError):
        await every(3_600, rounds.work, name="purging old requests", sleep=rounds.sleep)
    assert rounds.count == 4
    assert rounds.slept == [3_600] * 5
    assert [record.getMessage() for record in caplog.records] == ["purging old requests failed"] * 2
    assert {vars(record)["exception"] for record in caplog.records} == {"OperationalError"}
    assert "900101300017" not in caplog.text


async def test_work_that_must_be_done_once_is_tried_until_it_is() -> None:
    rounds = Rounds(failing=2)
    await until_done(rounds.work, name="announcing", retry_seconds=5, sleep=rounds.sleep)
    assert (rounds.count, rounds.slept) == (3, [5, 5])


async def test_background_work_ends_with_the_block_even_if_the_block_fails() -> None:
    ended: list[str] = []
    began = asyncio.Event()

    async def work(name: str) -> None:
        try:
            began.set()
            await asyncio.Event().wait()
        finally:
            ended.append(name)

    with pytest.raises(ValueError, match="the block"):
        async with in_background(work("first"), work("second")):
            await began.wait()
            raise ValueError("the block")
    assert sorted(ended) == ["first", "second"]
