"""Request batching: what many callers ask for goes out together, in few large calls.

While calls are in flight, new requests queue and leave together in the next one; when nothing is
in flight, a request leaves at once. So a single caller never waits, and many callers share the
price of a call (micro-batching, group commit).

If a call is expensive, set `min_batch`: a smaller batch is not sent while another call is in
flight, and after one returns it waits up to 10 ms, because the callers just answered usually ask
again. Without this, thirty sequential callers split into several small, equally expensive batches.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar, cast

from services.runtime.concurrency.halves import ask_in_halves, is_over_a_question
from services.runtime.server import Call

Q = TypeVar("Q")
A = TypeVar("A")

# How long the callers just answered are waited for: about what an answer and the next request take
# on their way.
GATHER_SECONDS = 0.010


@dataclass(frozen=True, slots=True)
class Pending(Generic[Q, A]):
    """One caller's requests, and the future that its answers go into."""

    requests: Sequence[Q]
    # What the requests count for against a batch's limit.
    weight: int
    during: Call | None
    answers: asyncio.Future[list[A]]


@dataclass(frozen=True, slots=True)
class Failed:
    """In place of an answer: what a request failed with."""

    error: Exception


@dataclass(frozen=True, slots=True)
class Batch(Generic[Q, A]):
    """Callers whose requests go out together."""

    callers: Sequence[Pending[Q, A]]

    @property
    def requests(self) -> list[Q]:
        """All requests, in the callers' order."""
        return [request for caller in self.callers for request in caller.requests]

    def answer(self, answers: Sequence[A | Failed]) -> None:
        """Give each caller its own answers, one a request, in order; raise for a caller what one of
        them failed with."""
        start = 0
        for caller in self.callers:
            own = answers[start : start + len(caller.requests)]
            start += len(caller.requests)
            if caller.answers.done():
                continue
            failures = [each.error for each in own if isinstance(each, Failed)]
            if failures:
                caller.answers.set_exception(failures[0])
            else:
                caller.answers.set_result(cast("list[A]", list(own)))

    def fail(self, error: Exception) -> None:
        """Raise the error for each caller."""
        for caller in self.callers:
            if not caller.answers.done():
                caller.answers.set_exception(error)

    def halves(self) -> tuple[Batch[Q, A], Batch[Q, A]]:
        """Return the first half of the callers, and the others."""
        middle = len(self.callers) // 2
        return Batch(self.callers[:middle]), Batch(self.callers[middle:])

    def latest_deadline(self) -> Call | None:
        """Return the call whose caller waits longest, which bounds the shared one; None where one
        of them waits without a deadline."""
        latest, longest = None, float("-inf")
        for caller in self.callers:
            remaining = caller.during.time_remaining() if caller.during is not None else None
            if remaining is None:
                return None
            if remaining > longest:
                latest, longest = caller.during, remaining
        return latest


class PendingQueue(Generic[Q, A]):
    """Callers in the order in which they came, taken out a batch at a time."""

    def __init__(self, *, limit: int) -> None:
        """limit: the weight that one batch may have; a single heavier caller is a batch alone."""
        self._limit = limit
        self._pending: deque[Pending[Q, A]] = deque()
        # The weight of all that waits.
        self.weight = 0

    def __bool__(self) -> bool:
        return bool(self._pending)

    def add(
        self, requests: Sequence[Q], *, weight: int | None = None, during: Call | None = None
    ) -> asyncio.Future[list[A]]:
        """Queue a caller's requests; return the future of their answers.

        weight: the number of requests if not given.
        """
        answers: asyncio.Future[list[A]] = asyncio.get_running_loop().create_future()
        pending = Pending(requests, len(requests) if weight is None else weight, during, answers)
        self._pending.append(pending)
        self.weight += pending.weight
        return answers

    def take(self) -> Batch[Q, A]:
        """Remove those who waited longest, as many as a batch holds; callers that have gone are
        dropped, so the batch may be empty."""
        taken: list[Pending[Q, A]] = []
        weight = 0
        while self._pending:
            first = self._pending[0]
            if taken and weight + first.weight > self._limit:
                break
            self._pending.popleft()
            self.weight -= first.weight
            if not first.answers.done():
                taken.append(first)
                weight += first.weight
        return Batch(taken)


class RequestBatcher(Generic[Q, A]):
    """Sends the requests of all callers; `send` returns one answer a request, in order.

    A call that fails over one of its requests (halves.py) is made again for each half of its
    callers, until those whose requests fail stand alone: 2 log2(n) further calls for each of them
    among n. Once all others have their answers, their own requests are asked again in halves, with
    EXTRA_CALLS each at most.
    """

    def __init__(
        self,
        send: Callable[[Sequence[Q], Call | None], Awaitable[Sequence[A]]],
        *,
        limit: int,
        max_concurrent: int,
        min_batch: int = 1,
        failed: Callable[[Exception], A | Failed] = Failed,
    ) -> None:
        """limit: requests that one call may carry. max_concurrent: calls in flight at once; with
        one, the callee idles while its answer travels. min_batch: see the module. failed: the
        answer to a request that a call of its own fails over; by default its caller's ask raises.
        """
        self._failed = failed
        self._send_all = send
        self._limit = limit
        self._max_concurrent = max_concurrent
        self._min_batch = min_batch
        self._queue: PendingQueue[Q, A] = PendingQueue(limit=limit)
        self._in_flight: set[asyncio.Task[None]] = set()
        # Requests that the last call carried, and those likely to wait soon: the callers answered
        # last, who ask again, beside those who queued meanwhile.
        self._last_sent = 0
        self._expected = 0
        self._timer: asyncio.TimerHandle | None = None

    async def ask(self, requests: Sequence[Q], during: Call | None) -> list[A]:
        """Return an answer to each request, in order. Raises what a call with them raised."""
        if len(requests) > self._limit:
            parts = [
                self.ask(requests[i : i + self._limit], during)
                for i in range(0, len(requests), self._limit)
            ]
            return [answer for part in await asyncio.gather(*parts) for answer in part]
        if not requests:
            return []
        answers = self._queue.add(requests, during=during)
        self._flush_if_due()
        return await answers

    def _flush_if_due(self) -> None:
        if not self._queue or len(self._in_flight) >= self._max_concurrent:
            return
        if self._queue.weight >= self._due_at():
            self._flush()
        elif not self._in_flight and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(GATHER_SECONDS, self._flush)

    def _due_at(self) -> int:
        """How many queued requests are worth a call now."""
        if self._in_flight:
            return self._min_batch
        return min(self._min_batch, self._expected)

    def _flush(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        # It starts in the loop's next turn: what else is asked in this one goes along.
        task = asyncio.create_task(self._send())
        self._in_flight.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._in_flight.discard(task)
        self._expected = self._last_sent + self._queue.weight
        self._flush_if_due()

    async def _send(self) -> None:
        batch = self._queue.take()
        if not batch.callers:
            return
        self._last_sent = len(batch.requests)
        for alone in await self._send_for(batch):
            await self._send_in_halves(alone)

    async def _send_for(self, batch: Batch[Q, A]) -> list[Batch[Q, A]]:
        """Answer the callers; return those, one a batch, whose requests have to be asked apart."""
        if len(batch.callers) == 1:
            return [batch]
        try:
            answers = await self._send_all(batch.requests, batch.latest_deadline())
        except Exception as error:
            if is_over_a_question(error):
                return [alone for half in batch.halves() for alone in await self._send_for(half)]
            batch.fail(error)
        else:
            batch.answer(answers)
        return []

    async def _send_in_halves(self, batch: Batch[Q, A]) -> None:
        deadline = batch.latest_deadline()

        async def send(part: Sequence[Q]) -> Sequence[A | Failed]:
            return await self._send_all(part, deadline)

        try:
            answers = await ask_in_halves(send, batch.requests, failed=self._failed)
        except Exception as error:
            batch.fail(error)
        else:
            batch.answer(answers)
