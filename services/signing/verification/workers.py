"""Threads that verify parts of batches, and give the event loop what they found.

A thread stays in the backend's queue. The kernel's threads never take the GIL, for which an
executor's wait before and after each piece of work, while the loop holds it: a batch of 1,000 cost
a quarter of a millisecond more by an executor. The loop is woken by one descriptor for all that
was finished meanwhile.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence

from services.runtime.concurrency.worker_pool import lower_priority
from signatures.backend import Part, WorkQueue

# Called on the loop with the verdicts or what went wrong, and the thread's CPU seconds.
Then = Callable[[bytes | Exception, float], None]


class Workers:
    """A fixed number of threads, started at the first use."""

    def __init__(self, queue: WorkQueue, threads: int, name: str, *, niceness: int = 0) -> None:
        """niceness: how much nicer than the rest of the process the threads are."""
        self._queue = queue
        self._threads = threads
        self._name = name
        self._niceness = niceness
        self._loop: asyncio.AbstractEventLoop | None = None

    def submit(self, parts: Sequence[Part], then: Then) -> None:
        """Have the parts verified together; `then` gets a verdict byte for each of their items."""
        if self._loop is None:
            self._start()
        self._queue.put(parts, then)

    def close(self) -> None:
        """Start no more work, and drop what no thread has yet."""
        if self._loop is not None:
            self._loop.remove_reader(self._queue.fileno())
        self._queue.close()

    def _start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._queue.fileno(), self._collect)
        for number in range(self._threads):
            # Daemons: a process that ends does not wait for work whose callers are gone.
            threading.Thread(target=self._work, name=f"{self._name}-{number}", daemon=True).start()

    def _work(self) -> None:
        if self._niceness:
            lower_priority(self._niceness)
        self._queue.work()

    def _collect(self) -> None:
        for then, verdicts, seconds in self._queue.finished():
            try:
                then(verdicts, seconds)
            except Exception as error:
                # A defect; the others still get theirs.
                asyncio.get_running_loop().call_exception_handler(
                    {"message": "a verdict was not taken", "exception": error}
                )
