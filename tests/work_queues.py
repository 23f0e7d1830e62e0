"""Verify batches by a backend's queue and one thread of its own."""

from __future__ import annotations

import select
import threading
from collections.abc import Sequence

from signatures.backend import Backend, Batch, WorkQueue

# Nothing that a test verifies takes a fraction of it.
LIMIT_SECONDS = 60.0


def verify_together(backend: Backend, batches: Sequence[Batch]) -> list[bytes]:
    """Return the verdicts of whole batches, verified as one task. Raises what the thread raised."""
    queue = backend.queue()
    thread = threading.Thread(target=queue.work)
    thread.start()
    try:
        queue.put([(batch, 0, batch.item_count) for batch in batches], "the ticket")
        ((ticket, verdicts, seconds),) = wait(queue)
    finally:
        queue.close()
        thread.join(LIMIT_SECONDS)
    assert ticket == "the ticket"
    assert seconds >= 0
    if isinstance(verdicts, Exception):
        raise verdicts
    answers = []
    for batch in batches:
        answers.append(verdicts[: batch.item_count])
        verdicts = verdicts[batch.item_count :]
    assert not verdicts
    return answers


def wait(queue: WorkQueue) -> list[tuple[object, bytes | Exception, float]]:
    """Return what is finished, once something is. Raises TimeoutError."""
    while True:
        readable, _, _ = select.select([queue], [], [], LIMIT_SECONDS)
        if not readable:
            raise TimeoutError("nothing was finished")
        if finished := queue.finished():
            return finished
