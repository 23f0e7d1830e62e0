"""The cache of answers about certificates: how often one is asked about, and for how long kept."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest

from services.runtime.errors import DeadlineExceeded, Unavailable
from services.signing.verification import certificate_cache
from services.signing.verification.certificate_cache import CERTIFICATES_CHUNK, CoalescingCache
from tests.clock import Clock
from tests.unit.signing.builders import NOW

FALLBACK = "no answer"
FRESH = timedelta(seconds=5)


@dataclass(slots=True)
class Answers:
    """Answers with the certificate as text and the time; counts the requests, and may fail."""

    clock: Clock
    requests: list[list[bytes]] = field(default_factory=list)
    error: Exception | None = None
    # Answers wait for it.
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, certificates: Sequence[bytes]) -> list[tuple[str, datetime]]:
        self.requests.append(list(certificates))
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        return [(der.decode(), self.clock()) for der in certificates]


@dataclass(slots=True)
class Bench:
    size: int = 10_000
    clock: Clock = field(default_factory=lambda: Clock(NOW))
    answers: Answers = field(init=False)
    cache: CoalescingCache[tuple[str, datetime]] = field(init=False)

    def __post_init__(self) -> None:
        self.answers = Answers(self.clock)
        self.answers.gate.set()
        self.cache = CoalescingCache(
            self.answers,
            is_fresh=lambda answer, now: now < answer[1] + FRESH,
            fallback=(FALLBACK, NOW),
            size=self.size,
            clock=self.clock,
        )

    async def get(self, *certificates: bytes) -> list[str]:
        return [text for text, _ in await self.cache.get_many(certificates)]


async def test_answers_come_in_the_order_of_the_certificates() -> None:
    bench = Bench()
    assert await bench.get(b"b", b"a", b"b") == ["b", "a", "b"]
    assert await bench.get(b"c", b"a") == ["c", "a"]
    assert bench.answers.requests == [[b"b", b"a"], [b"c"]]
    assert await bench.get() == []


async def test_an_answer_is_kept_while_it_is_fresh_and_no_longer() -> None:
    bench = Bench()
    await bench.get(b"a")
    bench.clock.move(seconds=4.999)
    await bench.get(b"a")
    assert len(bench.answers.requests) == 1
    bench.clock.move(seconds=0.001)
    await bench.get(b"a")
    assert len(bench.answers.requests) == 2


async def test_an_answer_that_was_never_fresh_is_not_kept() -> None:
    bench = Bench()
    bench.answers.gate.clear()
    asking = asyncio.create_task(bench.get(b"a"))
    await asyncio.sleep(0)
    bench.answers.gate.set()
    assert await asking == ["a"]
    stale = CoalescingCache(
        bench.answers,
        is_fresh=lambda _answer, _now: False,
        fallback=(FALLBACK, NOW),
        size=10,
        clock=bench.clock,
    )
    for _ in range(2):
        await stale.get_many([b"b"])
    assert bench.answers.requests == [[b"a"], [b"b"], [b"b"]]


async def test_many_certificates_are_asked_about_once_each_in_few_requests() -> None:
    bench = Bench()
    certificates = [b"%d" % (n % 2_500) for n in range(5_000)]
    assert await bench.get(*certificates) == [der.decode() for der in certificates]
    sizes = sorted(len(asked) for asked in bench.answers.requests)
    assert sizes == [500, CERTIFICATES_CHUNK, CERTIFICATES_CHUNK]


async def test_callers_share_a_request_and_one_that_gives_up_does_not_end_it() -> None:
    bench = Bench()
    bench.answers.gate.clear()
    tasks = [asyncio.create_task(bench.get(b"a", b"%d" % n)) for n in range(3)]
    await asyncio.sleep(0)
    tasks[0].cancel()
    await asyncio.sleep(0)
    bench.answers.gate.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(results[0], asyncio.CancelledError)
    assert results[1:] == [["a", "1"], ["a", "2"]]
    assert bench.answers.requests == [[b"a", b"0"], [b"1"], [b"2"]]


@pytest.mark.parametrize("error", [Unavailable("away"), DeadlineExceeded("late")])
async def test_without_an_answer_there_is_the_fallback_which_is_not_kept(error: Exception) -> None:
    bench = Bench()
    bench.answers.error = error
    assert await bench.get(b"a") == [FALLBACK]
    bench.answers.error = None
    assert await bench.get(b"a") == ["a"]


async def test_an_answer_that_takes_too_long_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(certificate_cache, "ANSWER_SECONDS", 0.0)
    bench = Bench()
    bench.answers.gate.clear()
    assert await bench.get(b"a") == [FALLBACK]


async def test_a_defect_is_raised_to_all_who_wait_and_the_next_call_asks_again() -> None:
    bench = Bench()
    bench.answers.error = RuntimeError("defect")
    for _ in range(2):
        results = await asyncio.gather(bench.get(b"a"), bench.get(b"a"), return_exceptions=True)
        assert [type(result) for result in results] == [RuntimeError, RuntimeError]
    assert len(bench.answers.requests) == 2


async def test_the_least_recently_used_answer_makes_room() -> None:
    bench = Bench(size=2)
    for der in (b"a", b"b", b"a", b"c"):
        await bench.get(der)
    bench.answers.requests.clear()
    await bench.get(b"a", b"c")
    assert bench.answers.requests == []
    await bench.get(b"b")
    assert bench.answers.requests == [[b"b"]]
