"""Scheduling: turns are fair, small requests go first, and cancelled or late work is not done.

Threads are replaced by workers that the test steps, and the backend by one that records what it was
asked to verify.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from qagazsyz.common.v1.certificates_pb2 import RequiredRole
from services.runtime.errors import DeadlineExceeded, ResourceExhausted
from services.signing.verification.paces import FASTEST, FIRST_PACES
from services.signing.verification.scheduler import (
    CHUNK_SECONDS,
    LARGEST_CHUNK,
    MICRO_BATCH_LIMIT,
    MICRO_BATCH_WAIT_SECONDS,
    RETRY_AFTER_SECONDS,
    SMALL_BYTES,
    SMALL_ITEMS,
    SMALLEST_CHUNK,
    Scheduler,
)
from services.signing.verification.workers import Then, Workers
from signatures.backend import Batch, Part
from signatures.portable import PortableQueue

BIG = 5_000
LARGE_REQUEST = 1_000_000


@dataclass(slots=True)
class FakeBatch:
    """A batch whose verification only notes that it was asked for."""

    name: str
    item_count: int
    log: list[tuple[str, int, int]]
    signer_count: int = 1
    trust_policy: int = 0
    at: tuple[int, int] | None = None
    required_role: RequiredRole | None = None
    fails: bool = False
    # A byte an item; Ed25519 if not given.
    given_algorithms: bytes = b""

    @property
    def algorithms(self) -> bytes:
        return self.given_algorithms or bytes([ED25519]) * self.item_count

    def named_signers(self) -> list[tuple[int, int, bytes]]:
        return []

    def set_key(self, index: int, spki: bytes | None) -> None: ...

    def set_trust(self, index: int, verdict: int) -> None: ...

    def verify(self, start: int, stop: int) -> bytes:
        if self.fails:
            raise RuntimeError("kernel")
        self.log.append((self.name, start, stop))
        return bytes(i % 7 + 1 for i in range(start, stop))


ED25519, P256, P521 = 1, 2, 4


@dataclass(slots=True)
class FakeBackend:
    log: list[tuple[str, int, int]] = field(default_factory=list)
    name: str = "fake"

    def batch(self, name: str, item_count: int) -> FakeBatch:
        return FakeBatch(name, item_count, self.log)

    def parse_batch(self, request: bytes) -> Batch:
        raise NotImplementedError

    def parse_single(self, request: bytes) -> Batch:
        raise NotImplementedError

    def queue(self) -> PortableQueue:
        return PortableQueue()


class SteppedWorkers(Workers):
    """Threads that run when the test says so, in the order in which they were given work."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Sequence[Part], Then]] = []
        # The names of the requests in each micro-batch that was verified.
        self.micro_batches: list[list[str]] = []

    def submit(self, parts: Sequence[Part], then: Then) -> None:
        self.waiting.append((parts, then))

    async def step(self, place: int = 0) -> None:
        """Does what has waited longest, or is at that place; lets the scheduler take notice."""
        parts, then = self.waiting.pop(place)
        found: bytes | Exception
        try:
            found = b"".join(batch.verify(start, stop) for batch, start, stop in parts)
        except RuntimeError as error:
            found = error
        batches: list[Any] = [batch for batch, _, _ in parts]
        if all(batch.item_count <= SMALL_ITEMS for batch in batches):
            self.micro_batches.append([batch.name for batch in batches])
        then(found, 0.0)
        await settle()

    async def drain(self) -> None:
        while self.waiting:
            await self.step()


async def settle() -> None:
    """Lets everything that is ready on the loop run."""
    for _ in range(5):
        await asyncio.sleep(0)


@dataclass(slots=True)
class Bench:
    """A scheduler, everything around it, and a clock that the test moves."""

    threads: int = 1
    bytes_in_flight: int = 100
    time: float = 0.0
    backend: FakeBackend = field(default_factory=FakeBackend)
    workers: SteppedWorkers = field(default_factory=SteppedWorkers)
    scheduler: Scheduler = field(init=False)

    def __post_init__(self) -> None:
        self.scheduler = Scheduler(
            self.backend,
            threads=self.threads,
            bytes_in_flight=self.bytes_in_flight,
            now=lambda: self.time,
            workers=self.workers,
        )

    async def ask(
        self,
        name: str,
        items: int,
        *,
        size: int = LARGE_REQUEST,
        time_remaining: float | None = None,
        fails: bool = False,
        algorithms: bytes = b"",
    ) -> asyncio.Task[bytes]:
        batch = self.backend.batch(name, items)
        batch.given_algorithms = algorithms
        batch.fails = fails
        task = asyncio.create_task(
            self.scheduler.verify(batch, size=size, time_remaining=time_remaining)
        )
        await settle()
        return task

    async def ask_one(self, name: str, **options: Any) -> asyncio.Task[bytes]:
        return await self.ask(name, 1, size=300, **options)

    @property
    def turns(self) -> list[str]:
        return [name for name, _, _ in self.backend.log]


async def test_verdicts_come_back_in_order_whatever_the_chunks() -> None:
    bench = Bench(threads=3)
    task = await bench.ask("big", BIG)
    await bench.workers.drain()
    assert await task == bytes(i % 7 + 1 for i in range(BIG))
    pieces = sorted((start, stop) for _, start, stop in bench.backend.log)
    assert [start for start, _ in pieces[1:]] == [stop for _, stop in pieces[:-1]]
    assert max(stop - start for start, stop in pieces) <= LARGEST_CHUNK
    # The first chunk goes by a guess; the rest differ by little.
    assert len(pieces) >= BIG // LARGEST_CHUNK


async def test_chunks_grow_with_the_pace_that_was_measured() -> None:
    bench = Bench()
    await bench.ask("big", 20_000, algorithms=bytes([P256]) * 20_000)
    await bench.workers.drain()
    first, last = bench.backend.log[0], bench.backend.log[-1]
    # The fake takes next to no time: the largest chunk there is, or nearly.
    assert first[2] - first[1] < last[2] - last[1]
    assert LARGEST_CHUNK * 0.9 < last[2] - last[1] <= LARGEST_CHUNK


async def test_slow_items_behind_fast_ones_make_no_long_chunk() -> None:
    bench = Bench()
    algorithms = bytes([ED25519]) * 10 * LARGEST_CHUNK + bytes([P521]) * 2_000
    await bench.ask("mixed", len(algorithms), algorithms=algorithms)
    await bench.workers.drain()
    slow = [algorithms[start:stop].count(P521) for _, start, stop in bench.backend.log]
    assert sum(slow) == 2_000
    # By what they are known to take, and not by what the items before them took.
    most = FASTEST * CHUNK_SECONDS / FIRST_PACES[P521]
    assert max(slow) <= most + SMALLEST_CHUNK


async def test_a_batch_that_fits_a_chunk_is_not_cut() -> None:
    bench = Bench(threads=2)
    await bench.ask("warm", 100_000)
    await bench.workers.drain()
    bench.backend.log.clear()
    await bench.ask("thousand", 1_000)
    await bench.workers.drain()
    assert bench.backend.log == [("thousand", 0, 1_000)]


async def test_requests_take_turns() -> None:
    bench = Bench()
    await bench.ask("a", BIG)
    await bench.ask("b", BIG)
    await bench.ask("c", 100)
    for _ in range(4):
        await bench.workers.step()
    # a had a thread when the others came, and was next in the ring.
    assert bench.turns == ["a", "a", "b", "c"]


async def test_a_single_verify_overtakes_the_chunks_of_a_big_batch() -> None:
    bench = Bench(threads=2)
    await bench.ask("big", BIG)
    assert len(bench.workers.waiting) == 2
    single = await bench.ask_one("one")
    # There is a thread that chunks never occupy.
    assert len(bench.workers.waiting) == 3
    await bench.workers.step(-1)
    assert single.done()
    assert bench.turns == ["one"]


async def test_chunks_never_occupy_the_last_thread() -> None:
    bench = Bench(threads=2)
    for name in "abcd":
        await bench.ask(name, BIG)
    assert len(bench.workers.waiting) == 2


async def test_single_verifies_alone_start_at_once() -> None:
    bench = Bench()
    single = await bench.ask_one("one")
    assert len(bench.workers.waiting) == 1
    await bench.workers.step()
    assert await single == bytes([1])
    assert bench.workers.micro_batches == [["one"]]


async def test_small_requests_that_arrive_together_share_one_call() -> None:
    bench = Bench()
    first = await bench.ask_one("first")
    others = [await bench.ask_one(str(n)) for n in range(5)]
    assert len(bench.workers.waiting) == 1
    await bench.workers.step()
    assert first.done()
    await bench.workers.step()
    assert all(task.done() for task in others)
    assert bench.workers.micro_batches == [["first"], ["0", "1", "2", "3", "4"]]


async def test_a_micro_batch_is_bounded() -> None:
    bench = Bench()
    await bench.ask_one("first")
    await bench.workers.drain()
    await bench.ask_one("second")
    for n in range(MICRO_BATCH_LIMIT + 8):
        await bench.ask_one(str(n))
    await bench.workers.drain()
    assert max(len(batch) for batch in bench.workers.micro_batches) <= MICRO_BATCH_LIMIT
    assert sum(len(batch) for batch in bench.workers.micro_batches) == MICRO_BATCH_LIMIT + 10


async def test_a_small_request_waits_a_millisecond_for_others_while_a_thread_is_free() -> None:
    bench = Bench()
    await bench.ask_one("slow")
    await bench.ask_one("waits")
    assert len(bench.workers.waiting) == 1
    bench.time += MICRO_BATCH_WAIT_SECONDS
    await bench.ask_one("comes")
    assert len(bench.workers.waiting) == 2
    await bench.workers.drain()
    assert bench.workers.micro_batches == [["slow"], ["waits", "comes"]]


@pytest.mark.parametrize(("items", "size"), [(1, SMALL_BYTES + 1), (SMALL_ITEMS + 1, 10)])
async def test_a_request_that_is_not_small_takes_its_turn(items: int, size: int) -> None:
    bench = Bench()
    await bench.ask("big", BIG)
    await bench.ask("not small", items, size=size)
    assert len(bench.workers.waiting) == 1


async def test_a_cancelled_batch_stops_at_the_next_chunk() -> None:
    bench = Bench()
    task = await bench.ask("big", BIG)
    await bench.workers.step()
    task.cancel()
    await settle()
    # The chunk that a thread has already is the last one.
    done = len(bench.backend.log)
    await bench.workers.drain()
    assert len(bench.backend.log) == done + 1
    assert task.cancelled()


async def test_a_batch_whose_time_is_up_stops_at_the_next_chunk() -> None:
    bench = Bench()
    task = await bench.ask("big", BIG, time_remaining=10.0)
    await bench.workers.step()
    bench.time = 10.0
    done = len(bench.backend.log)
    await bench.workers.drain()
    assert len(bench.backend.log) == done + 1
    with pytest.raises(DeadlineExceeded):
        await task


async def test_a_small_request_that_was_cancelled_or_is_late_is_not_verified() -> None:
    bench = Bench()
    await bench.ask_one("first")
    gone = await bench.ask_one("gone")
    late = await bench.ask_one("late", time_remaining=1.0)
    kept = await bench.ask_one("kept")
    gone.cancel()
    bench.time = 2.0
    await bench.workers.drain()
    assert bench.turns == ["first", "kept"]
    assert kept.done()
    with pytest.raises(DeadlineExceeded):
        await late


async def test_a_failing_kernel_fails_the_call_and_not_the_scheduler() -> None:
    bench = Bench()
    for items in (BIG, 1):
        task = await bench.ask("bad", items, size=300, fails=True)
        await bench.workers.drain()
        with pytest.raises(RuntimeError):
            await task
    good = await bench.ask("good", BIG)
    single = await bench.ask_one("one")
    await bench.workers.drain()
    assert good.done() and single.done()


async def test_an_empty_batch_needs_no_thread() -> None:
    bench = Bench()
    task = await bench.ask("empty", 0)
    assert await task == b""
    assert bench.workers.waiting == []


async def test_bytes_over_the_bound_are_refused_at_once_with_a_time_to_retry() -> None:
    bench = Bench(bytes_in_flight=100)
    with bench.scheduler.admit(60):
        with pytest.raises(ResourceExhausted) as caught, bench.scheduler.admit(41):
            pass
        assert caught.value.retry_after_seconds == RETRY_AFTER_SECONDS
        with bench.scheduler.admit(40):
            pass
    with bench.scheduler.admit(100):
        pass


async def test_a_request_that_grows_over_the_bound_is_refused_and_gives_back_all() -> None:
    bench = Bench(bytes_in_flight=100)
    with bench.scheduler.admit(60) as admission:
        admission.grow(30)
        with pytest.raises(ResourceExhausted):
            admission.grow(11)
        with bench.scheduler.admit(10):
            pass
    with bench.scheduler.admit(100):
        pass


async def test_real_threads_give_the_same_verdicts() -> None:
    backend = FakeBackend()
    scheduler = Scheduler(backend, threads=2, bytes_in_flight=100)
    answers = await asyncio.gather(
        *(
            scheduler.verify(backend.batch(str(n), n), size=LARGE_REQUEST, time_remaining=60.0)
            for n in range(0, 3_000, 100)
        ),
        *(
            scheduler.verify(backend.batch("one", 1), size=100, time_remaining=None)
            for _ in range(100)
        ),
    )
    scheduler.close()
    assert answers[:30] == [bytes(i % 7 + 1 for i in range(n)) for n in range(0, 3_000, 100)]
    assert answers[30:] == [bytes([1])] * 100
