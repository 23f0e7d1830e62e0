"""Whoever holds much and sends little keeps nobody else out: small versions of attacks on a whole
suite, while another caller verifies, signs in and reads a document.

docs/security.md has figures of large versions. Here each call of the other caller must succeed.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest

from qagazsyz.client import TokenSource
from qagazsyz.common.v1 import signatures_pb2
from qagazsyz.identity.v1 import tokens_pb2_grpc
from qagazsyz.registry.v1 import documents_pb2, documents_pb2_grpc
from qagazsyz.signing.v1 import verification_pb2, verification_pb2_grpc
from testing.enrolment import Actor
from testing.suite_process import RunningSuite, running_suite
from tests.integration.world import World
from tests.raw_http2 import RawConnection, connected, frame
from tests.unit.signing.builders import TestKey

# Generous: on a busy machine a good answer may be slow. A refusal comes at once.
DEADLINE_SECONDS = 10.0
# Rounds of the other caller's three calls while the attack goes on.
ROUNDS = 10
KEY = TestKey()
VERIFICATION = "/qagazsyz.signing.v1.VerificationService"
CHALLENGE = "/qagazsyz.identity.v1.TokenService/CreateChallenge"
REFLECTION = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
WATCH = "/grpc.health.v1.Health/Watch"
# Of one connection: Envoy allows 256 streams.
STREAMS = 200
MEBIBYTE = 1024 * 1024


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSuite]:
    """Run a suite that no other test shares."""
    with running_suite(Path(tmp_path_factory.mktemp("attacked")) / "data") as running:
        yield running


@dataclass(slots=True)
class Attacker:
    """One citizen with a token, who opens what is asked for and leaves it open."""

    suite: RunningSuite
    authorization: dict[str, str]
    stack: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def http2(self) -> RawConnection:
        return await self.stack.enter_async_context(connected(self.suite.port))

    async def streams(self, path: str, count: int, sent: bytes, *, token: bool) -> None:
        """Open streams, send the same beginning in each, and end none."""
        headers = self.authorization if token else {}
        for first in range(0, count, STREAMS):
            connection = await self.http2()
            for _ in range(min(STREAMS, count - first)):
                stream = await connection.open(path, headers)
                await connection.send(stream, sent)

    async def posts(
        self, path: str, count: int, length: int, sent: int, *, token: bool = False
    ) -> None:
        """Announce JSON bodies of this length on connections of their own, and send less."""
        lines = [
            f"POST {path} HTTP/1.1",
            "host: gateway",
            "content-type: application/json",
            f"content-length: {length}" if length else "transfer-encoding: chunked",
            *(f"{name}: {value}" for name, value in self.authorization.items() if token),
        ]
        head = "\r\n".join([*lines, "", ""]).encode()
        body = b'{"organization":"'.ljust(sent, b"A")
        for _ in range(count):
            _, writer = await asyncio.open_connection("127.0.0.1", self.suite.port)
            self.stack.callback(writer.close)
            writer.write(head + (body if length else b"%x\r\n%s\r\n" % (len(body), body)))


async def idle_reflection(attacker: Attacker) -> None:
    await attacker.streams(REFLECTION, 1_001, b"", token=False)


async def idle_watches(attacker: Attacker) -> None:
    await attacker.streams(WATCH, 1_001, frame(b""), token=False)


async def calls_of_one_byte(attacker: Attacker) -> None:
    for name in ("Verify", "BatchVerify", "StreamVerify"):
        await attacker.streams(f"{VERIFICATION}/{name}", 50, b"\0", token=True)


async def unfinished_messages(attacker: Attacker) -> None:
    part = frame(bytes(MEBIBYTE), length=20 * MEBIBYTE)
    await attacker.streams(CHALLENGE, 20, part, token=False)


async def slow_json(attacker: Attacker) -> None:
    await attacker.posts("/v1/challenges", 300, 60_000, 50_000)


async def slow_json_of_unknown_length(attacker: Attacker) -> None:
    await attacker.posts("/v1/challenges", 300, 0, 50_000)


async def slow_raw_bodies(attacker: Attacker) -> None:
    await attacker.posts("/pki/ocsp", 300, 60_000, 50_000)


async def slow_json_with_a_token(attacker: Attacker) -> None:
    await attacker.posts("/v1/signatures:verify", 100, 1_000_000, 500_000, token=True)


async def large_json(attacker: Attacker) -> None:
    for token in (False, True):
        for path in ("/v1/documents:check", "/v1/signatures:batchVerify"):
            await attacker.posts(path, 10, 20_000_000, 17, token=token)


@dataclass(frozen=True, slots=True)
class Bystander:
    """Another citizen, whose calls must go on: each method raises where its call is refused."""

    world: World
    citizen: Actor
    document: str
    # Without the client's retries, which would hide a refusal.
    channel: grpc.aio.Channel
    headers: dict[str, str]

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        return tuple(self.headers.items())

    async def verify(self) -> None:
        stub = verification_pb2_grpc.VerificationServiceStub(self.channel)
        request = verification_pb2.VerifyRequest(
            signer=verification_pb2.Signer(public_key=KEY.spki), item=KEY.item()
        )
        answer = await stub.Verify(request, metadata=self.metadata, timeout=DEADLINE_SECONDS)
        assert answer.verdict == signatures_pb2.VERDICT_VALID

    async def sign_in(self) -> None:
        tokens: Any = tokens_pb2_grpc.TokenServiceStub(self.channel)
        await TokenSource(tokens, self.citizen.credential).token()

    async def read(self) -> None:
        request = documents_pb2.GetDocumentRequest(name=self.document)
        stub = documents_pb2_grpc.DocumentServiceStub(self.channel)
        await stub.GetDocument(request, metadata=self.metadata, timeout=DEADLINE_SECONDS)

    async def check_json(self) -> None:
        """Post JSON of more than a mebibyte, which Envoy collects."""
        signer = {"publicKey": base64.b64encode(KEY.spki).decode()}
        body = {"signer": signer, "item": {"message": "A" * 2 * MEBIBYTE}}
        async with self.world.http() as http:
            answer = await http.post("/v1/signatures:verify", json=body, headers=self.headers)
        assert answer.status_code == 200, answer.text


@pytest.fixture
async def bystander(attacked: RunningSuite) -> AsyncIterator[Bystander]:
    world = World(attacked)
    organization = await world.organization()
    officer = await world.officer(organization)
    citizen = await world.citizen()
    kind = await world.document_type(organization)
    document = await world.register(officer, kind, citizen.subject)
    headers = await world.headers(citizen)
    async with grpc.aio.insecure_channel(attacked.gateway) as channel:
        yield Bystander(world, citizen, document.name, channel, headers)
    await world.close()


@pytest.fixture
async def attacker(attacked: RunningSuite) -> AsyncIterator[Attacker]:
    world = World(attacked)
    headers = await world.headers(await world.citizen())
    attacker = Attacker(attacked, headers)
    async with attacker.stack:
        yield attacker
    await world.close()


@pytest.mark.parametrize(
    "attack",
    [
        idle_reflection,
        idle_watches,
        calls_of_one_byte,
        unfinished_messages,
        slow_json,
        slow_json_of_unknown_length,
        slow_raw_bodies,
        slow_json_with_a_token,
        large_json,
    ],
)
async def test_all_calls_of_another_caller_succeed_meanwhile(
    attacker: Attacker, bystander: Bystander, attack: Callable[[Attacker], Awaitable[None]]
) -> None:
    under_way = asyncio.ensure_future(attack(attacker))
    rounds = 0
    while rounds < ROUNDS or not under_way.done():
        await bystander.verify()
        await bystander.sign_in()
        await bystander.read()
        await bystander.check_json()
        rounds += 1
    await under_way
