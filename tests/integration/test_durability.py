"""No acknowledged document is lost if a process is killed during registration."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from qagazsyz import merkle, notes
from qagazsyz.receipts import verify_receipt
from qagazsyz.registry.v1 import documents_pb2, log_pb2, log_pb2_grpc
from testing.enrolment import Actor
from testing.suite_process import RunningSuite, running_suite
from tests.integration.world import TIMEOUT_SECONDS, World, registration

BEFORE = 8
WRITERS = 4
# Documents that each writer registers after it has seen the process gone.
AFTER = 3
PARTS = ("registry", "signing", "identity", "gateway")
GIVE_UP_SECONDS = 60.0


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSuite]:
    """Run a suite for this module alone, whose processes it may kill."""
    with running_suite(Path(tmp_path_factory.mktemp("durability")) / "data") as running:
        yield running


class Registering:
    """Registers documents one after another with several writers, and keeps the acknowledged
    ones."""

    def __init__(self, world: World, officer: Actor, document_type: str, subject: str) -> None:
        self._world = world
        self._arguments = (officer, document_type, subject)
        self.acknowledged: dict[str, bytes] = {}
        self.checkpoints: list[bytes] = []
        self.enough = asyncio.Event()
        self.killed = asyncio.Event()

    async def write(self, number: int) -> None:
        after, count = 0, 0
        while after < AFTER:
            content = f"{self._arguments[2]} {number}/{count}".encode()
            count += 1
            request = registration(*self._arguments, content)
            stub = self._world.documents(self._arguments[0])
            try:
                # Not retried under the same request_id by the test itself: each is a new document.
                document = await stub.RegisterDocument(request, timeout=TIMEOUT_SECONDS)
            except grpc.aio.AioRpcError as error:
                assert error.code() in (
                    grpc.StatusCode.UNAVAILABLE,
                    grpc.StatusCode.DEADLINE_EXCEEDED,
                    grpc.StatusCode.CANCELLED,
                ), error
                continue
            self.acknowledged[document.name] = content
            if len(self.acknowledged) >= BEFORE:
                self.enough.set()
            if self.killed.is_set():
                after += 1


async def checkpoint(world: World) -> bytes:
    async with world.http() as http:
        answer = await http.get("/log/checkpoint")
        answer.raise_for_status()
        return answer.content


@pytest.mark.parametrize("part", PARTS)
async def test_nothing_acknowledged_is_lost_when_a_process_is_killed(
    suite: RunningSuite, part: str
) -> None:
    world = World(suite)
    officer, citizen = await world.officer(), await world.citizen()
    document_type = await world.document_type(officer.organization)
    registering = Registering(world, officer, document_type, citizen.subject)
    seen = [await checkpoint(world)]
    async with asyncio.timeout(GIVE_UP_SECONDS):
        async with asyncio.TaskGroup() as writers:
            for number in range(WRITERS):
                writers.create_task(registering.write(number))
            await registering.enough.wait()
            seen.append(await checkpoint(world))
            os.kill(suite.children()[part], signal.SIGKILL)
            registering.killed.set()
    await asyncio.to_thread(suite.wait_until_ready)
    seen.append(await checkpoint(world))
    await assert_all_there(world, citizen, registering.acknowledged)
    await assert_consistent(world, seen)
    await world.close()


async def assert_all_there(world: World, citizen: Actor, acknowledged: dict[str, bytes]) -> None:
    stub = world.documents(citizen)
    async with world.http() as http:
        key = (await http.get("/log/key")).text
    for name, content in acknowledged.items():
        body = await stub.DownloadDocument(documents_pb2.DownloadDocumentRequest(name=name))
        assert body.data == content
        receipt = await stub.GetReceipt(documents_pb2.GetReceiptRequest(document=name))
        verify_receipt(receipt, key, content)


async def assert_consistent(world: World, seen: list[bytes]) -> None:
    """Assert that each checkpoint's tree is a prefix of the next one's."""
    async with world.http() as http:
        key = notes.VerifierKey.parse((await http.get("/log/key")).text)
    trees = [notes.open_checkpoint(text, key) for text in seen]
    async with grpc.aio.insecure_channel(world.suite.gateway) as channel:
        stub = log_pb2_grpc.LogServiceStub(channel)
        for first, second in itertools.pairwise(trees):
            assert first.tree_size <= second.tree_size
            proof = await stub.GetConsistencyProof(
                log_pb2.GetConsistencyProofRequest(
                    first_size=first.tree_size, second_size=second.tree_size
                )
            )
            merkle.verify_consistency(
                first.tree_size, second.tree_size, proof.path, first.root_hash, second.root_hash
            )
