"""Schedule verification on a fixed number of threads, without head-of-line blocking of small calls.

Large requests are cut into chunks and take turns (round-robin): each gets one chunk verified, then
the next request one of its own. So a batch of a hundred items waits for a few chunks, not for the
ten thousand items that came before it. A chunk has as many items as one thread verifies in about
CHUNK_SECONDS, by what items of their algorithms took before (paces.py): short enough that turns
come round quickly and that a cancelled call stops soon; long enough that the hand-over to a thread
is negligible and that Ed25519 keeps nearly all the gain of its batch equation. A batch that fits
one chunk is not cut, although two threads would answer it sooner: under load, the work per item
counts.

Small requests, a single Verify above all, have one more thread than there are cores, which chunks
never occupy. A small request starts at once if no other is being verified. Those that arrive
meanwhile form a micro-batch, which shares one call into the kernel; it starts when the running one
ends, or after MICRO_BATCH_WAIT_SECONDS on any free thread. The operating system shares the cores
between that thread and the chunks, and prefers it and the event loop (on Linux, by nice values), so
that the cost of a small call's short wait is a slightly longer chunk.

Bytes in flight are bounded. A request over the bound is refused at once instead of queued, so that
memory is bounded and callers back off early.

Everything but the verification runs on the event loop: no locks.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from services.runtime.errors import DeadlineExceeded, ResourceExhausted
from services.signing.verification.paces import PACE_WEIGHT, Paces
from services.signing.verification.workers import Workers
from signatures.backend import Backend, Batch

# One turn. A request waits about two or three of them for its own.
CHUNK_SECONDS = 0.02
# An Ed25519 batch of 1,000 costs within 5 % of one of 10,000, per signature.
LARGEST_CHUNK = 1_024
# Handing over a chunk costs about 0.1 ms: little beside a dozen items of the slowest algorithm.
SMALLEST_CHUNK = 8
# What a small request takes, before the first measurement: ECDSA P-256 on one core of 2023.
FIRST_PACE_SECONDS = 80e-6

# Under contention, chunks get a third of the event loop's share, and the loop wakes at once.
CHUNK_NICENESS = 5

# The most that a small request has: bytes that are hashed in well under a millisecond.
SMALL_ITEMS = 4
SMALL_BYTES = 64 * 1024
# Requests in a micro-batch. Beyond, an Ed25519 signature becomes hardly cheaper.
MICRO_BATCH_LIMIT = 32
# The most work in a micro-batch, by the pace of earlier ones.
MICRO_BATCH_SECONDS = 0.002
# The longest that a small request waits for others while a thread is free.
MICRO_BATCH_WAIT_SECONDS = 0.001

# About the time in which what is in flight is done.
RETRY_AFTER_SECONDS = 1.0


@dataclass(slots=True, eq=False)
class _Job:
    """A large request in the round-robin ring."""

    batch: Batch
    size: int
    deadline: float
    done: asyncio.Future[None]
    verdicts: bytearray
    # Each item's algorithm, a byte each.
    algorithms: bytes
    # The first item that was not given to a thread yet, and the number of verified items.
    next: int = 0
    verified: int = 0


@dataclass(slots=True, eq=False)
class _SmallRequest:
    """A small request that waits for a thread or for its micro-batch."""

    batch: Batch
    arrived: float
    deadline: float
    done: asyncio.Future[bytes]


class _Pace:
    """CPU seconds a small request takes: an estimate that follows the measurements."""

    __slots__ = ("seconds",)

    def __init__(self) -> None:
        self.seconds = FIRST_PACE_SECONDS

    def update(self, seconds: float) -> None:
        """Take a measurement into account: a slower one fully, a faster one by PACE_WEIGHT."""
        if seconds < self.seconds:
            seconds = self.seconds + PACE_WEIGHT * (seconds - self.seconds)
        self.seconds = seconds


class Admission:
    """The bytes of one request that count as in flight."""

    __slots__ = ("_scheduler", "size")

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self.size = 0

    def grow(self, size: int) -> None:
        """Count more bytes of this request. Raises ResourceExhausted, and counts none then."""
        self._scheduler.reserve(size)
        self.size += size


class Scheduler:
    """Verifies large requests on `threads` threads, and small ones on one more."""

    def __init__(
        self,
        backend: Backend,
        *,
        threads: int,
        bytes_in_flight: int,
        now: Callable[[], float] = time.monotonic,
        workers: Workers | None = None,
    ) -> None:
        """bytes_in_flight: the bound. workers: do all the work; tests step theirs by hand."""
        self._threads = threads
        self._bytes_limit = bytes_in_flight
        self._bytes = 0
        self._now = now
        self._for_chunks = workers or Workers(
            backend.queue(), threads, "chunks", niceness=CHUNK_NICENESS
        )
        self._for_small = workers or Workers(backend.queue(), threads + 1, "small")
        self._ring: deque[_Job] = deque()
        self._small: deque[_SmallRequest] = deque()
        self._chunks_running = 0
        self._micro_batches_running = 0
        self._paces = Paces()
        self._small_pace = _Pace()
        self._timer: asyncio.TimerHandle | None = None

    @contextmanager
    def admit(self, size: int) -> Iterator[Admission]:
        """Count a request's bytes as in flight while the block runs. Raises ResourceExhausted."""
        admission = Admission(self)
        admission.grow(size)
        try:
            yield admission
        finally:
            self._bytes -= admission.size

    def reserve(self, size: int) -> None:
        """Count bytes as in flight, for Admission. Raises ResourceExhausted over the bound."""
        if self._bytes + size > self._bytes_limit:
            raise ResourceExhausted("too much is being verified at once", RETRY_AFTER_SECONDS)
        self._bytes += size

    async def verify(self, batch: Batch, *, size: int, time_remaining: float | None) -> bytes:
        """Return one verdict byte for each item.

        size: of the request, in bytes. time_remaining: in seconds. Raises DeadlineExceeded if they
        run out before the last chunk starts. When cancelled, it stops at the next chunk.
        """
        count = batch.item_count
        if not count:
            return b""
        loop = asyncio.get_running_loop()
        now = self._now()
        deadline = now + time_remaining if time_remaining is not None else float("inf")
        if count <= SMALL_ITEMS and size <= SMALL_BYTES:
            small = _SmallRequest(batch, now, deadline, loop.create_future())
            self._small.append(small)
            self._dispatch()
            return await small.done
        job = _Job(batch, count, deadline, loop.create_future(), bytearray(count), batch.algorithms)
        self._ring.append(job)
        self._dispatch()
        await job.done
        return bytes(job.verdicts)

    def close(self) -> None:
        """Start no more work, and cancel what no thread has yet."""
        if self._timer is not None:
            self._timer.cancel()
        for workers in (self._for_chunks, self._for_small):
            workers.close()

    def _dispatch(self) -> None:
        """Give work to every free thread, small requests first."""
        while self._small and self._threads_free() and self._is_micro_batch_due():
            self._start_micro_batch()
        while self._ring and self._threads_free() and self._chunks_running < self._threads:
            self._start_chunk(self._ring.popleft())

    def _threads_free(self) -> int:
        return self._threads + 1 - self._chunks_running - self._micro_batches_running

    # --- Chunks ------------------------------------------------------------------------------

    def _start_chunk(self, job: _Job) -> None:
        if not self._is_wanted(job):
            return
        start = job.next
        stop = job.next = start + self._chunk_size(job)
        if stop < job.size:
            self._ring.append(job)
        self._chunks_running += 1
        self._for_chunks.submit([(job.batch, start, stop)], partial(self._end_chunk, job, start))

    def _chunk_size(self, job: _Job) -> int:
        """Return how many items are about CHUNK_SECONDS of work; a job's chunks are near equal."""
        left = job.algorithms[job.next :]
        seconds = self._paces.total(left)
        chunks = max(math.ceil(seconds / CHUNK_SECONDS), -(-len(left) // LARGEST_CHUNK))
        if chunks == 1:
            return len(left)
        size = self._paces.cut(left[:LARGEST_CHUNK], seconds / chunks)
        return min(max(size, SMALLEST_CHUNK), len(left))

    def _end_chunk(
        self, job: _Job, start: int, verdicts: bytes | Exception, seconds: float
    ) -> None:
        self._chunks_running -= 1
        if isinstance(verdicts, Exception):
            if not job.done.done():
                job.done.set_exception(verdicts)
        else:
            job.verdicts[start : start + len(verdicts)] = verdicts
            job.verified += len(verdicts)
            self._paces.update(job.algorithms[start : start + len(verdicts)], seconds)
            if job.verified == job.size and not job.done.done():
                job.done.set_result(None)
        self._dispatch()

    # --- Small requests ----------------------------------------------------------------------

    def _is_micro_batch_due(self) -> bool:
        """Return whether to start one: none is running, or the oldest request waited enough."""
        if not self._micro_batches_running:
            return True
        left = self._small[0].arrived + MICRO_BATCH_WAIT_SECONDS - self._now()
        if left <= 0:
            return True
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(left, self._wait_is_over)
        return False

    def _wait_is_over(self) -> None:
        self._timer = None
        self._dispatch()

    def _start_micro_batch(self) -> None:
        pace = max(self._small_pace.seconds, 1e-9)
        most = max(1, min(MICRO_BATCH_LIMIT, int(MICRO_BATCH_SECONDS / pace)))
        requests: list[_SmallRequest] = []
        while self._small and len(requests) < most:
            request = self._small.popleft()
            if self._is_wanted(request):
                requests.append(request)
        if requests:
            self._micro_batches_running += 1
            self._for_small.submit(
                [(request.batch, 0, request.batch.item_count) for request in requests],
                partial(self._end_micro_batch, requests),
            )

    def _end_micro_batch(
        self, requests: list[_SmallRequest], verdicts: bytes | Exception, seconds: float
    ) -> None:
        self._micro_batches_running -= 1
        if isinstance(verdicts, Exception):
            for request in requests:
                if not request.done.done():
                    request.done.set_exception(verdicts)
        else:
            self._small_pace.update(seconds / len(requests))
            start = 0
            for request in requests:
                stop = start + request.batch.item_count
                if not request.done.done():
                    request.done.set_result(verdicts[start:stop])
                start = stop
        self._dispatch()

    # --- Both --------------------------------------------------------------------------------

    def _is_wanted(self, work: _Job | _SmallRequest) -> bool:
        """Return whether its caller still waits: it is not cancelled, failed or too late."""
        if work.done.done():
            return False
        if self._now() >= work.deadline:
            work.done.set_exception(DeadlineExceeded("the deadline passed"))
            return False
        return True
