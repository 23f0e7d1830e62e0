"""A real signing process behind a real Envoy, asked for more than it takes: it says so, and lives.

Identity is the gateway tests' small server, which gives its keys and tokens.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from qagazsyz.common.v1 import signatures_pb2
from qagazsyz.signing.v1 import verification_pb2, verification_pb2_grpc
from services.runtime.intake.message_bounds import MESSAGE_LIMIT_BYTES
from services.signing.verification.requests import ITEMS_LIMIT, SIGNERS_LIMIT
from signatures.der import BIT_STRING, SEQUENCE, encode, encode_oid
from tests.integration.gateway_backend import Backend, retry_seconds, running, serving, until
from tests.integration.signing_process import COMMAND, environment
from tests.unit.signing.builders import TestKey

# More than enough for gRPC and Envoy to hold in their windows, which are at most 2 MiB each.
MANY_BATCHES = 2_000
# Calls answered one after another while nothing more of a stream was taken: it stands still.
CALLS_THAT_SHOW_A_STANDSTILL = 50
CALLS_GIVEN_UP = 4
# A long batch has more than half of the bytes that the service takes at once, and is two seconds of
# work for a thread that has a core.
LONG_ITEMS = 5_000
LONG_MESSAGE = bytes(2_200)
# So that it cannot be taken beside a long batch, and alone it can.
PROBE_MESSAGE = bytes(MESSAGE_LIMIT_BYTES // 2)
# Ends a test that hangs. Work of seconds may take minutes on a busy machine: it measures nothing.
PATIENCE_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class Signing:
    """Signing as a citizen sees it through the gateway."""

    stub: Any
    metadata: tuple[tuple[str, str], ...]
    process_id: int

    async def is_answering(self) -> bool:
        """Whether a single Verify gets its answer, at once or when the probe's bytes are freed: the
        same caller has sent both."""
        request = verification_pb2.VerifyRequest(
            signer=verification_pb2.Signer(public_key=KEY.spki), item=KEY.item()
        )
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                try:
                    answer = await self.stub.Verify(request, metadata=self.metadata)
                except grpc.aio.AioRpcError as error:
                    assert error.details() in TOO_MUCH
                else:
                    return bool(answer.verdict == signatures_pb2.VERDICT_VALID)

    async def is_full(self) -> bool:
        """Whether a long batch is under way, so that the service refuses the probe beside it."""
        request = verification_pb2.BatchVerifyRequest(
            items=[verification_pb2.SignedItem(message=PROBE_MESSAGE)]
        )
        try:
            await self.batch(request)
        except grpc.aio.AioRpcError as error:
            assert error.details() in TOO_MUCH
            return True
        return False

    async def under_way(self, request: verification_pb2.BatchVerifyRequest) -> Any:
        """The call of a long batch, started and taken.

        The probe may be taken before it: then the batch is refused, and is started again.
        """
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                call = self.batch(request)
                while not call.done():
                    if await self.is_full():
                        return call
                assert await call.code() is grpc.StatusCode.RESOURCE_EXHAUSTED

    async def until_not_full(self) -> None:
        """Returns once no long batch is under way; fails where one always is."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while await self.is_full():
                pass

    async def answered(self, request: verification_pb2.BatchVerifyRequest) -> Any:
        """The answer to a batch, as soon as what others held is given back."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                try:
                    return await self.batch(request)
                except grpc.aio.AioRpcError as error:
                    assert error.details() in TOO_MUCH

    def cpu_ticks(self) -> int:
        """What the service's process has used of the CPU, in the system's ticks."""
        fields = Path(f"/proc/{self.process_id}/stat").read_text().rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])

    def batch(
        self, request: verification_pb2.BatchVerifyRequest, timeout: float = PATIENCE_SECONDS
    ) -> Any:
        return self.stub.BatchVerify(request, metadata=self.metadata, timeout=timeout)


@dataclass(frozen=True, slots=True)
class Running:
    """Where the gateway is, and which process verifies behind it."""

    gateway: str
    process_id: int


KEY = TestKey()
# By the scheduler, or by the intake before it: both hold as many bytes.
TOO_MUCH = ("too much is being verified at once", "too many calls at once")


@pytest.fixture(scope="module")
def identity() -> Iterator[Backend]:
    with serving() as backend:
        yield backend


@pytest.fixture(scope="module")
def suite(identity: Backend, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Signing has one thread, so that batches last, and the least bound of bytes there may be."""
    folder = tmp_path_factory.mktemp("signing")
    socket = folder / "socket"
    listen = f"unix:{socket}"
    variables = environment(folder, listen) | {
        "QAGAZSYZ_IDENTITY_ADDRESS": identity.address,
        "QAGAZSYZ_THREADS": "1",
        "QAGAZSYZ_BYTES_IN_FLIGHT": str(MESSAGE_LIMIT_BYTES),
    }
    with contextlib.ExitStack() as stack:
        process = stack.enter_context(subprocess.Popen(COMMAND, env=variables))
        stack.callback(process.terminate)
        until(socket.exists, PATIENCE_SECONDS)
        gateway = stack.enter_context(
            running(
                Path(tmp_path_factory.mktemp("gateway")),
                identity=identity.address,
                registry=identity.address,
                requests=identity.address,
                signing=listen,
                # Envoy ends a call after this long: it is not what is tested here.
                call_timeout_seconds=int(PATIENCE_SECONDS),
            )
        )
        yield Running(gateway.target, process.pid)


@pytest.fixture
async def signing(identity: Backend, suite: Running) -> AsyncIterator[Signing]:
    options = [
        ("grpc.http2.bdp_probe", 0),
        ("grpc.max_send_message_length", -1),
        ("grpc.use_local_subchannel_pool", 1),
    ]
    async with grpc.aio.insecure_channel(suite.gateway, options=options) as channel:
        yield Signing(
            verification_pb2_grpc.VerificationServiceStub(channel),
            (("authorization", f"Bearer {identity.token()}"),),
            suite.process_id,
        )


def long_batch() -> verification_pb2.BatchVerifyRequest:
    """Many items of the slowest kind: seconds of work. Compressed keys get no tables."""
    private = ec.generate_private_key(ec.SECP521R1())
    point = private.public_key().public_bytes(
        serialization.Encoding.X962, serialization.PublicFormat.CompressedPoint
    )
    algorithm = encode_oid("1.2.840.10045.2.1") + encode_oid("1.3.132.0.35")
    spki = encode(SEQUENCE, encode(SEQUENCE, algorithm) + encode(BIT_STRING, b"\0" + point))
    item = verification_pb2.SignedItem(
        algorithm=signatures_pb2.SIGNATURE_ALGORITHM_ECDSA_P521_SHA512,
        message=LONG_MESSAGE,
        signature=private.sign(LONG_MESSAGE, ec.ECDSA(hashes.SHA512())),
    )
    return verification_pb2.BatchVerifyRequest(
        signers=[verification_pb2.Signer(public_key=spki)], items=[item] * LONG_ITEMS
    )


async def test_a_client_that_never_reads_is_held_back_and_others_are_not(signing: Signing) -> None:
    # Two bytes an item in, one out: the answers are what fills up.
    request = verification_pb2.StreamVerifyRequest(
        batch=verification_pb2.BatchVerifyRequest(
            items=[verification_pb2.SignedItem()] * ITEMS_LIMIT
        )
    )
    stream = signing.stub.StreamVerify(metadata=signing.metadata)
    sent = 0

    async def send() -> None:
        nonlocal sent
        while sent < MANY_BATCHES:
            await stream.write(request)
            sent += 1
        await stream.done_writing()

    sending = asyncio.create_task(send())
    before, calls = -1, 0
    while calls < CALLS_THAT_SHOW_A_STANDSTILL:
        assert await signing.is_answering()
        calls = calls + 1 if sent == before else 0
        before = sent
    assert 0 < sent < MANY_BATCHES
    assert not sending.done()
    # Nothing was lost: once it reads, it gets the answer to each.
    answers = [answer.sequence async for answer in stream]
    await sending
    assert answers == list(range(MANY_BATCHES))


@pytest.mark.skipif(sys.platform != "linux", reason="reads the CPU's time from /proc")
async def test_a_batch_that_is_cancelled_ends_and_the_work_for_it_too(signing: Signing) -> None:
    request = long_batch()
    before = signing.cpu_ticks()
    await signing.batch(request)
    whole = signing.cpu_ticks() - before
    before = signing.cpu_ticks()
    for _ in range(CALLS_GIVEN_UP):
        call = await signing.under_way(request)
        assert await signing.is_answering()
        assert call.cancel()
        assert await call.code() is grpc.StatusCode.CANCELLED
        await signing.until_not_full()
    # Batches take turns: while this one ends, the others would have ended too.
    answer = await signing.answered(request)
    assert len(answer.verdicts) == LONG_ITEMS
    assert signing.cpu_ticks() - before < whole + CALLS_GIVEN_UP * whole / 2
    assert await signing.is_answering()


async def test_a_batch_whose_time_is_up_ends_and_gives_back_what_it_held(signing: Signing) -> None:
    request = long_batch()
    was_under_way = False
    timeout = 0.25
    # On a busy machine the first ones may end before they have arrived, or after a probe that was
    # taken before them.
    while not was_under_way and timeout < PATIENCE_SECONDS:
        call = signing.batch(request, timeout)
        while not was_under_way and not call.done():
            was_under_way = await signing.is_full()
            assert await signing.is_answering()
        code = await call.code()
        if was_under_way:
            assert code is grpc.StatusCode.DEADLINE_EXCEEDED
        else:
            assert code in (
                grpc.StatusCode.DEADLINE_EXCEEDED,
                grpc.StatusCode.RESOURCE_EXHAUSTED,
            )
        timeout *= 2
    assert was_under_way
    await signing.until_not_full()
    assert await signing.is_answering()


async def test_more_bytes_than_the_service_verifies_at_once_are_told_when_to_come_back(
    signing: Signing,
) -> None:
    # Within the limits of a message; what its items and signers take beside it is too much.
    request = verification_pb2.BatchVerifyRequest(
        signers=[verification_pb2.Signer()] * SIGNERS_LIMIT,
        items=[
            verification_pb2.SignedItem(message=os.urandom(MESSAGE_LIMIT_BYTES - 64 * 1024)),
            *[verification_pb2.SignedItem()] * (ITEMS_LIMIT - 1),
        ],
    )
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await signing.batch(request)
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert caught.value.details() in TOO_MUCH
    assert retry_seconds(caught.value) == 1
    assert await signing.is_answering()
