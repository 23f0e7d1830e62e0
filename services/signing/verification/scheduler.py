"""Verification on a fixed number of threads, where small calls never queue behind big ones.

A request is cut into chunks, and requests take turns: each gets one chunk
verified, then the next request one of its own, and so on around a ring, so
that a batch of a hundred items waits for a few chunks and not for the whole of
the ten thousand that came before it. A chunk is as many items as one thread
verifies in about CHUNK_SECONDS, judged by the pace of the request's last chunk
(of the last chunk of anyone, for its first one): short enough for turns to come
round quickly, and for a call that was cancelled to stop soon; long enough that
handing it to a thread costs nothing, and that Ed25519, whose batches grow
cheaper with their size, keeps nearly all of its gain. A batch that fits one
chunk is not cut, though two threads would answer it sooner: what counts under
load is the work per item.

There is one thread more than there are cores, and chunks never occupy it.
It is for small requests - a single Verify above all. Alone, one starts at once;
those that arrive while others are being verified are collected, and share one
call into the kernel when that ends, or after GROUP_WAIT_SECONDS on any thread
that is free. The operating system shares the cores between that thread and the
chunks, and puts it and the event loop first where it can (Linux), so that the
price of a small call's short wait is a chunk that takes a little longer.

What is in flight is bounded in bytes; over the bound a request is refused at
once instead of being queued, so that memory is bounded and callers learn early.

Everything but the verification itself runs on the event loop, so that nothing
here needs a lock.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from services.runtime.errors import DeadlineExceeded, ResourceExhausted
from signatures.backend import Backend, Batch

T = TypeVar("T")

# A turn. Two or three of them are what a request may wait for its own.
CHUNK_SECONDS = 0.02
# An Ed25519 batch of 1,000 costs per signature within 5 % of what one of 10,000 does.
LARGEST_CHUNK = 1_024
# Handing over a chunk costs about 0.1 ms: little beside the slowest algorithm's dozen items.
SMALLEST_CHUNK = 8
# Until something was measured: ECDSA P-256 on one core of 2023.
FIRST_PACE_SECONDS = 80e-6
# A slow chunk is believed at once; faster ones persuade by half each. Who sends fast items before
# slow ones still gets one long chunk: 1,024 of P-521 are about 0.4 seconds of a thread.
PACE_WEIGHT = 0.5

# A third of the event loop's share where they compete, and no wait for it to wake.
CHUNK_NICENESS = 5

# Small requests: as many bytes as are hashed in well under a millisecond.
SMALL_ITEMS = 4
SMALL_BYTES = 64 * 1024
# Requests that share one call. Beyond, an Ed25519 signature gets hardly cheaper.
GROUP_LIMIT = 32
# As long as the requests of a group may take together, judged by the pace of small ones before.
GROUP_SECONDS = 0.002
# The longest that a small request waits for company while a thread is free.
GROUP_WAIT_SECONDS = 0.001

# A refused caller comes back after about as long as what is in flight takes.
RETRY_AFTER_SECONDS = 1.0


@dataclass(slots=True, eq=False)
class _Job:
    """A request on its way round the ring."""

    batch: Batch
    size: int
    deadline: float
    done: asyncio.Future[None]
    verdicts: bytearray
    # The first item that no thread has yet, and how many have their verdicts.
    next: int = 0
    verified: int = 0
    # CPU seconds an item, as its last chunk had it.
    pace: float | None = None


@dataclass(slots=True, eq=False)
class _Small:
    """A small request that waits for a thread, or for company."""

    batch: Batch
    arrived: float
    deadline: float
    done: asyncio.Future[bytes]


class _Pace:
    """CPU seconds an item, as far as is known."""

    __slots__ = ("seconds",)

    def __init__(self) -> None:
        self.seconds = FIRST_PACE_SECONDS

    def measured(self, seconds: float) -> None:
        if seconds < self.seconds:
            seconds = self.seconds + PACE_WEIGHT * (seconds - self.seconds)
        self.seconds = seconds


class Scheduler:
    """Verifies batches on so many threads, and small ones on one more."""

    def __init__(
        self,
        backend: Backend,
        *,
        threads: int,
        bytes_in_flight: int,
        now: Callable[[], float] = time.monotonic,
        executor: Executor | None = None,
    ) -> None:
        """executor: for all of the work; tests pass one that they step by hand."""
        self._backend = backend
        self._threads = threads
        self._bytes_limit = bytes_in_flight
        self._bytes = 0
        self._now = now
        self._for_chunks = executor or ThreadPoolExecutor(threads, "chunks", _give_way)
        self._for_small = executor or ThreadPoolExecutor(threads + 1, "small")
        self._ring: deque[_Job] = deque()
        self._small: deque[_Small] = deque()
        self._chunks_running = 0
        self._groups_running = 0
        self._chunk_pace = _Pace()
        self._small_pace = _Pace()
        self._timer: asyncio.TimerHandle | None = None

    @contextmanager
    def admit(self, size: int) -> Iterator[None]:
        """Counts so many bytes as in flight while the block runs. Raises ResourceExhausted."""
        if self._bytes + size > self._bytes_limit:
            raise ResourceExhausted("too much is being verified at once", RETRY_AFTER_SECONDS)
        self._bytes += size
        try:
            yield
        finally:
            self._bytes -= size

    async def verify(self, batch: Batch, *, size: int, time_remaining: float | None) -> bytes:
        """One verdict byte for each item.

        size: of the request, in bytes. Raises DeadlineExceeded where the time remaining, in
        seconds, ran out before the last chunk began. Cancelled, it stops at the next chunk.
        """
        count = batch.item_count
        if not count:
            return b""
        loop = asyncio.get_running_loop()
        now = self._now()
        deadline = now + time_remaining if time_remaining is not None else float("inf")
        if count <= SMALL_ITEMS and size <= SMALL_BYTES:
            small = _Small(batch, now, deadline, loop.create_future())
            self._small.append(small)
            self._dispatch()
            return await small.done
        job = _Job(batch, count, deadline, loop.create_future(), bytearray(count))
        self._ring.append(job)
        self._dispatch()
        await job.done
        return bytes(job.verdicts)

    def close(self) -> None:
        """Starts nothing more."""
        if self._timer is not None:
            self._timer.cancel()
        for executor in (self._for_chunks, self._for_small):
            executor.shutdown(wait=False, cancel_futures=True)

    def _dispatch(self) -> None:
        """Gives every thread that is free something to do, small requests first."""
        while self._small and self._threads_free() and self._company_is_complete():
            self._start_group()
        while self._ring and self._threads_free() and self._chunks_running < self._threads:
            self._start_chunk(self._ring.popleft())

    def _threads_free(self) -> int:
        return self._threads + 1 - self._chunks_running - self._groups_running

    # --- Chunks ------------------------------------------------------------------------------

    def _start_chunk(self, job: _Job) -> None:
        if not self._wanted(job):
            return
        start = job.next
        stop = job.next = start + self._chunk_size(job)
        if stop < job.size:
            self._ring.append(job)
        self._chunks_running += 1
        self._submit(
            self._for_chunks,
            partial(job.batch.verify, start, stop),
            partial(self._end_chunk, job, start),
        )

    def _chunk_size(self, job: _Job) -> int:
        """How many items are about CHUNK_SECONDS of work; chunks of a job differ by little."""
        pace = job.pace or self._chunk_pace.seconds
        most = max(SMALLEST_CHUNK, min(LARGEST_CHUNK, int(CHUNK_SECONDS / max(pace, 1e-9))))
        left = job.size - job.next
        chunks = -(-left // most)
        return -(-left // chunks)

    def _end_chunk(self, job: _Job, start: int, work: asyncio.Future[tuple[bytes, float]]) -> None:
        self._chunks_running -= 1
        error = work.exception()
        if error is not None:
            if not job.done.done():
                job.done.set_exception(error)
        else:
            verdicts, seconds = work.result()
            job.verdicts[start : start + len(verdicts)] = verdicts
            job.verified += len(verdicts)
            job.pace = seconds / len(verdicts)
            self._chunk_pace.measured(job.pace)
            if job.verified == job.size and not job.done.done():
                job.done.set_result(None)
        self._dispatch()

    # --- Small requests ----------------------------------------------------------------------

    def _company_is_complete(self) -> bool:
        """Whether those who wait should start: none is running, or the first waited enough."""
        if not self._groups_running:
            return True
        left = self._small[0].arrived + GROUP_WAIT_SECONDS - self._now()
        if left <= 0:
            return True
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(left, self._waited)
        return False

    def _waited(self) -> None:
        self._timer = None
        self._dispatch()

    def _start_group(self) -> None:
        group: list[_Small] = []
        most = max(1, min(GROUP_LIMIT, int(GROUP_SECONDS / max(self._small_pace.seconds, 1e-9))))
        while self._small and len(group) < most:
            small = self._small.popleft()
            if self._wanted(small):
                group.append(small)
        if group:
            self._groups_running += 1
            batches: Sequence[Batch] = [small.batch for small in group]
            self._submit(
                self._for_small,
                partial(self._backend.verify_many, batches),
                partial(self._end_group, group),
            )

    def _end_group(
        self, group: list[_Small], work: asyncio.Future[tuple[list[bytes], float]]
    ) -> None:
        self._groups_running -= 1
        error = work.exception()
        if error is not None:
            for small in group:
                if not small.done.done():
                    small.done.set_exception(error)
        else:
            verdicts, seconds = work.result()
            self._small_pace.measured(seconds / len(group))
            for small, found in zip(group, verdicts, strict=True):
                if not small.done.done():
                    small.done.set_result(found)
        self._dispatch()

    # --- Both --------------------------------------------------------------------------------

    def _wanted(self, asked: _Job | _Small) -> bool:
        """Whether someone waits for it still: neither cancelled, nor failed, nor too late."""
        if asked.done.done():
            return False
        if self._now() >= asked.deadline:
            asked.done.set_exception(DeadlineExceeded("the time ran out"))
            return False
        return True

    def _submit(
        self,
        executor: Executor,
        work: Callable[[], T],
        then: Callable[[asyncio.Future[tuple[T, float]]], None],
    ) -> None:
        loop = asyncio.get_running_loop()
        loop.run_in_executor(executor, _timed, work).add_done_callback(then)


def _give_way() -> None:
    """Lets the event loop and the small requests' threads run before this one (Linux, where each
    thread has a nice value of its own)."""
    if sys.platform == "linux":
        thread = threading.get_native_id()
        nice = os.getpriority(os.PRIO_PROCESS, thread) + CHUNK_NICENESS
        os.setpriority(os.PRIO_PROCESS, thread, min(nice, 19))


def _timed(work: Callable[[], T]) -> tuple[T, float]:
    """What work returns, and the CPU seconds that this thread spent on it."""
    before = time.thread_time()
    result = work()
    return result, time.thread_time() - before
