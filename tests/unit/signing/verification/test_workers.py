"""Workers: what their threads find comes back on the loop, and their threads are nicer."""

from __future__ import annotations

import asyncio
import os
import sys
import threading

import pytest

from services.signing.verification.workers import Workers
from signatures.backend import Batch
from signatures.portable import PortableBackend

EMPTY_ITEM = b"\x12\x00"
NICENESS = 3


class WatchingBatch:
    """A batch that notes the nice value of the thread that verifies it."""

    def __init__(self) -> None:
        self.batch = PortableBackend().parse_batch(EMPTY_ITEM * 3)
        self.nice = 0
        self.thread = 0

    def verify(self, start: int, stop: int) -> bytes:
        self.thread = threading.get_native_id()
        if sys.platform == "linux":
            self.nice = os.getpriority(os.PRIO_PROCESS, self.thread)
        return self.batch.verify(start, stop)


async def ask(workers: Workers, batch: object, start: int, stop: int) -> tuple[object, float, int]:
    """Return what `then` got, and its thread."""
    done: asyncio.Future[tuple[object, float, int]] = asyncio.get_running_loop().create_future()
    parts: list[tuple[Batch, int, int]] = [(batch, start, stop)]  # type: ignore[list-item]
    workers.submit(
        parts, lambda found, took: done.set_result((found, took, threading.get_native_id()))
    )
    return await asyncio.wait_for(done, 60)


async def test_what_a_thread_found_comes_back_on_the_loop() -> None:
    workers = Workers(PortableBackend().queue(), 2, "test", niceness=NICENESS)
    batch = WatchingBatch()
    found, seconds, thread = await ask(workers, batch, 1, 3)
    workers.close()
    assert found == bytes([7, 7])
    assert seconds >= 0
    assert thread == threading.get_native_id() != batch.thread


@pytest.mark.skipif(sys.platform != "linux", reason="a thread has no nice value of its own")
async def test_threads_are_nicer_than_the_process() -> None:
    workers = Workers(PortableBackend().queue(), 1, "test", niceness=NICENESS)
    batch = WatchingBatch()
    await ask(workers, batch, 0, 1)
    workers.close()
    assert batch.nice == min(19, os.getpriority(os.PRIO_PROCESS, 0) + NICENESS)


async def test_an_error_comes_back_and_the_threads_go_on() -> None:
    workers = Workers(PortableBackend().queue(), 1, "test")
    error, _, _ = await ask(workers, None, 0, 1)
    found, _, _ = await ask(workers, WatchingBatch(), 0, 1)
    workers.close()
    assert isinstance(error, AttributeError)
    assert found == bytes([7])


async def test_workers_that_were_never_used_close() -> None:
    before = threading.active_count()
    Workers(PortableBackend().queue(), 4, "test").close()
    assert threading.active_count() == before


async def test_who_fails_to_take_a_verdict_keeps_it_from_nobody_else() -> None:
    failures: list[object] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: failures.append(context["exception"]))
    queue = PortableBackend().queue()
    workers = Workers(queue, 1, "test")
    batch = PortableBackend().parse_batch(EMPTY_ITEM)

    def fail(_found: object, _took: float) -> None:
        raise ValueError("a defect")

    workers.submit([(batch, 0, 1)], fail)
    found, _, _ = await ask(workers, batch, 0, 1)
    workers.close()
    assert found == bytes([7])
    assert [type(failure) for failure in failures] == [ValueError]
