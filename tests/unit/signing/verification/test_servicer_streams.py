"""StreamVerify's flow control and end, seen from the servicer, one step at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta

import pytest

from qagazsyz.signing.v1 import verification_pb2
from services.runtime.errors import Unauthenticated
from services.signing.verification.scheduler import Scheduler
from services.signing.verification.servicer import (
    STREAM_ANSWERS_LIMIT,
    STREAM_GRACE_SECONDS,
    VerificationServicer,
)
from services.signing.verification.signers import Signers
from signatures.backend import Batch
from signatures.portable import PortableBackend
from tests.unit.signing.builders import NOW, FakeIdentity, TestKey, citizen

KEY = TestKey()
REQUEST = verification_pb2.StreamVerifyRequest(
    batch=verification_pb2.BatchVerifyRequest(
        signers=[verification_pb2.Signer(public_key=KEY.spki)], items=[KEY.item()] * 10
    )
).SerializeToString()


def service(clock_now: datetime = NOW) -> VerificationServicer:
    async def no_keys(_: object) -> dict[str, bytes]:
        return {}

    backend, identity = PortableBackend(), FakeIdentity()
    return VerificationServicer(
        backend=backend,
        scheduler=Scheduler(backend, threads=1, bytes_in_flight=1_000_000),
        signers=Signers(
            check_certificates=identity.check_certificates,
            inspect_certificates=identity.inspect_certificates,
            find_public_keys=no_keys,
            clock=lambda: clock_now,
        ),
        verify_time_stamp=identity.verify_time_stamp,
        clock=lambda: clock_now,
    )


class Client:
    """Has any number of requests to send; counts those that the service has read."""

    def __init__(self) -> None:
        self.read = 0
        self.progress = asyncio.Event()

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        self.read += 1
        self.progress.set()
        return REQUEST


async def test_a_client_that_never_reads_makes_the_service_hold_two_answers() -> None:
    client = Client()
    call = citizen(expire_time=NOW.timestamp())
    answers = service().StreamVerify(client, call)
    for taken in range(1, 6):
        await anext(answers)
        # The one just given is the client's once it asks for the next: it is still held.
        await until_quiet()
        assert client.read <= taken + STREAM_ANSWERS_LIMIT - 1
    await until_quiet()
    assert client.read == 5 + STREAM_ANSWERS_LIMIT - 1
    await answers.aclose()  # type: ignore[attr-defined]


async def until_quiet() -> None:
    """Until every task but this one waits for something that no one will do."""
    for _ in range(200):
        await asyncio.sleep(0)


async def test_a_stream_ends_an_hour_after_the_token_and_not_before() -> None:
    expired = NOW.timestamp() - STREAM_GRACE_SECONDS
    call = citizen(expire_time=expired + 60)
    answers = service().StreamVerify(Client(), call)
    await anext(answers)
    await answers.aclose()  # type: ignore[attr-defined]
    ended = service().StreamVerify(Client(), citizen(expire_time=expired))
    with pytest.raises(Unauthenticated):
        await anext(ended)


async def test_a_silent_stream_ends_as_well() -> None:
    class Silent(Client):
        async def __anext__(self) -> bytes:
            await asyncio.Event().wait()
            raise AssertionError

    call = citizen(expire_time=NOW.timestamp() - STREAM_GRACE_SECONDS + 0.01)
    with pytest.raises(Unauthenticated):
        await anext(service().StreamVerify(Silent(), call))


async def test_a_timeout_inside_an_answer_is_not_told_as_an_expired_token(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def late(_: object, __: bytes) -> Batch:
        raise TimeoutError

    monkeypatch.setattr(PortableBackend, "parse_batch", late)
    call = citizen(expire_time=NOW.timestamp())
    with pytest.raises(TimeoutError):
        await anext(service().StreamVerify(Client(), call))


async def test_a_stream_that_is_left_stops_reading_and_verifying() -> None:
    client = Client()
    call = citizen(expire_time=(NOW + timedelta(minutes=10)).timestamp())
    answers = service().StreamVerify(client, call)
    await anext(answers)
    await answers.aclose()  # type: ignore[attr-defined]
    await until_quiet()
    read = client.read
    await until_quiet()
    assert client.read == read
    others = asyncio.all_tasks() - {asyncio.current_task()}
    assert all(task.done() or task.cancelling() for task in others)
