"""Answer a stream's requests in order, a bounded number of them at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Generic, TypeVar

A = TypeVar("A")


class OrderedAnswers(Generic[A]):
    """Reads requests and answers them concurrently; `next` returns the answers in order.

    A request is read only if fewer than `limit` answers are under way or not yet taken, so that
    flow control holds back a client that sends faster than it reads.
    """

    def __init__(
        self,
        requests: AsyncIterator[bytes],
        answer: Callable[[bytes], Coroutine[None, None, A]],
        *,
        limit: int,
    ) -> None:
        self._requests = requests
        self._answer = answer
        self._free = asyncio.Semaphore(limit)
        self._answers: asyncio.Queue[asyncio.Task[A] | None] = asyncio.Queue()
        self._tasks: set[asyncio.Task[A]] = set()
        self._reader = asyncio.create_task(self._read())

    async def next(self) -> A | None:
        """Return the next answer, or None after the last. Raises what making it raised."""
        task = await self._answers.get()
        if task is None:
            await self._reader
            return None
        return await task

    def taken(self) -> None:
        """Note that the client took an answer: another request may be read."""
        self._free.release()

    def close(self) -> None:
        """Cancel the reader and all answers under way."""
        self._reader.cancel()
        for task in self._tasks:
            task.cancel()

    async def _read(self) -> None:
        try:
            while True:
                # Acquire first: a request that has no place stays with the client.
                await self._free.acquire()
                try:
                    request = await anext(self._requests)
                except StopAsyncIteration:
                    return
                task = asyncio.create_task(self._answer(request))
                # The task has it; it may be 20 MiB.
                del request
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
                self._answers.put_nowait(task)
        finally:
            self._answers.put_nowait(None)
