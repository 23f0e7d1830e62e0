"""Queues of both backends: parts come back with their tickets, errors too, and closing ends all."""

from __future__ import annotations

import select
import threading

import pytest

from qagazsyz.common.v1 import signatures_pb2
from qagazsyz.signing.v1 import verification_pb2
from signatures.algorithms import Verdict
from signatures.backend import Backend, WorkQueue
from signatures.loading import load_backend
from tests.work_queues import LIMIT_SECONDS, verify_together, wait

REQUEST = verification_pb2.BatchVerifyRequest(
    signers=[verification_pb2.Signer(public_key=b"no key")],
    items=[
        verification_pb2.SignedItem(algorithm=signatures_pb2.SIGNATURE_ALGORITHM_ED25519),
        verification_pb2.SignedItem(signer=1),
    ]
    * 4,
).SerializeToString()
ANSWER = bytes([Verdict.MALFORMED_KEY, Verdict.UNKNOWN_SIGNER]) * 4


def start(queue: WorkQueue, count: int) -> list[threading.Thread]:
    threads = [threading.Thread(target=queue.work, daemon=True) for _ in range(count)]
    for thread in threads:
        thread.start()
    return threads


@pytest.fixture(params=["kernel", "portable"])
def backend(request: pytest.FixtureRequest) -> Backend:
    if request.param == "kernel":
        pytest.importorskip("qagazsyz_kernel", reason="the native kernel is not built")
    return load_backend(request.param)


def test_the_parts_of_a_task_are_answered_together(backend: Backend) -> None:
    batches = [backend.parse_batch(REQUEST) for _ in range(3)]
    assert verify_together(backend, batches) == [ANSWER] * 3


def test_every_ticket_comes_back_with_its_own_verdicts(backend: Backend) -> None:
    queue = backend.queue()
    threads = start(queue, 3)
    batch = backend.parse_batch(REQUEST)
    for number in range(200):
        queue.put([(batch, number % 8, 8)], number)
    found: dict[object, object] = {}
    while len(found) < 200:
        found |= {ticket: verdicts for ticket, verdicts, _ in wait(queue)}
    queue.close()
    assert found == {number: ANSWER[number % 8 :] for number in range(200)}
    for thread in threads:
        thread.join(LIMIT_SECONDS)
        assert not thread.is_alive()


def test_a_queue_is_readable_only_while_something_is_finished(backend: Backend) -> None:
    queue = backend.queue()
    assert queue.finished() == []
    start(queue, 1)
    queue.put([(backend.parse_batch(REQUEST), 0, 8)], None)
    assert len(wait(queue)) == 1
    assert select.select([queue], [], [], 0)[0] == []
    queue.close()


def test_what_no_thread_has_begun_is_dropped_at_the_end(backend: Backend) -> None:
    queue = backend.queue()
    queue.put([(backend.parse_batch(REQUEST), 0, 8)], None)
    queue.close()
    (thread,) = start(queue, 1)
    thread.join(LIMIT_SECONDS)
    assert not thread.is_alive()
    assert queue.finished() == []


def test_what_fails_comes_back_as_the_error_and_the_thread_goes_on() -> None:
    backend = load_backend("portable")
    batch = backend.parse_batch(REQUEST)
    queue = backend.queue()
    start(queue, 1)
    queue.put([(batch, 0, "8")], "bad")  # type: ignore[list-item]
    ((ticket, error, _),) = wait(queue)
    assert ticket == "bad"
    assert isinstance(error, TypeError)
    queue.put([(batch, 0, 8)], "good")
    ((_, verdicts, _),) = wait(queue)
    queue.close()
    assert verdicts == ANSWER
