"""Whoever sends little and holds much keeps nobody else out, and holds little memory."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from qagazsyz.identity.v1 import certificates_pb2, tokens_pb2
from services.runtime.access import Caller, TokenVerifier
from services.runtime.errors import DeadlineExceeded, ResourceExhausted
from services.runtime.intake import intake
from services.runtime.intake.admission import Pool
from services.runtime.intake.intake import ADDRESS_HEADER, Intake, caller_key
from services.runtime.intake.open_streams import SLOTS
from services.runtime.server import Call, Server
from tests.raw_http2 import RawConnection, connected, frame
from tests.unit.runtime.tokens import NOW, fetch_keys

TOKENS = "qagazsyz.identity.v1.TokenService"
AUTHORITY = "qagazsyz.identity.v1.AuthorityService"
CHALLENGE = f"/{TOKENS}/CreateChallenge"
EXHAUSTED = str(grpc.StatusCode.RESOURCE_EXHAUSTED.value[0])
INVALID = str(grpc.StatusCode.INVALID_ARGUMENT.value[0])
UNIMPLEMENTED = str(grpc.StatusCode.UNIMPLEMENTED.value[0])
CALLS = 10


class Tokens:
    async def CreateChallenge(self, request: tokens_pb2.CreateChallengeRequest, _call: Call) -> Any:
        return tokens_pb2.Challenge(challenge=request.organization.encode())


class Authority:
    async def AnswerOcsp(self, request: certificates_pb2.AnswerOcspRequest, _call: Call) -> Any:
        return request.body


@pytest.fixture
async def port() -> AsyncIterator[int]:
    server = Server(
        {TOKENS: Tokens(), AUTHORITY: Authority()},
        TokenVerifier(fetch_keys, now=lambda: NOW),
        page_secret=b"secret",
        concurrent_calls=CALLS,
    )
    port = server.listen("127.0.0.1:0")
    await server.start()
    yield port
    await server.stop()


@pytest.fixture
async def attacker(port: int) -> AsyncIterator[RawConnection]:
    async with connected(port) as connection:
        yield connection


async def challenge(port: int, address: str) -> str:
    """Call as that address does; return the status' name."""
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        method: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(CHALLENGE)
        call = method(b"", metadata=((ADDRESS_HEADER, address),))
        return (await call.code()).name


async def held(connection: RawConnection, path: str, count: int, address: str) -> list[int]:
    """Open so many calls that send nothing."""
    return [await connection.open(path, {ADDRESS_HEADER: address}) for _ in range(count)]


async def test_silent_calls_of_one_address_leave_the_reserve_to_others(
    port: int, attacker: RawConnection
) -> None:
    streams = await held(attacker, CHALLENGE, 3 * CALLS, "192.0.2.1")
    ended = await attacker.first_ended(streams, 2 * CALLS + 1)
    assert {await attacker.status(each) for each in ended} == {EXHAUSTED}
    assert [await challenge(port, "192.0.2.2") for _ in range(20)] == ["OK"] * 20


async def test_silent_calls_of_many_addresses_give_way_to_a_newcomer(
    port: int, attacker: RawConnection
) -> None:
    streams = [
        stream
        for host in range(CALLS)
        for stream in await held(attacker, CHALLENGE, 1, f"192.0.2.{host}")
    ]
    await asyncio.gather(*(challenge(port, f"198.51.100.{host}") for host in range(CALLS)))
    assert await challenge(port, "203.0.113.1") == "OK"
    ended = await attacker.first_ended(streams, 1)
    assert await attacker.status(ended[0]) == EXHAUSTED


@pytest.mark.parametrize(
    "path",
    ["/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", "/grpc.health.v1.Health/Watch"],
)
async def test_open_streams_have_a_few_slots_and_take_none_of_the_calls(
    port: int, attacker: RawConnection, path: str
) -> None:
    streams = await held(attacker, path, 100, "192.0.2.1")
    for stream in streams if path.endswith("Watch") else []:
        await attacker.send(stream, frame(b""), end=True)
    ended = await attacker.first_ended(streams, 100 - SLOTS)
    assert {await attacker.status(each) for each in ended} == {EXHAUSTED}
    assert await challenge(port, "192.0.2.1") == "OK"
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        answer = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
        assert answer.status == health_pb2.HealthCheckResponse.SERVING


async def test_a_compressed_request_is_unimplemented(attacker: RawConnection) -> None:
    bomb = zlib.compress(bytes(1_000_000), wbits=31)
    stream = await attacker.open(CHALLENGE, {"grpc-encoding": "gzip"})
    await attacker.send(stream, frame(bomb, compressed=True), end=True)
    assert await attacker.status(stream) == UNIMPLEMENTED


async def test_a_message_of_a_million_empty_items_is_refused_before_it_is_decoded(
    attacker: RawConnection,
) -> None:
    body = b"\x1a\x00" * 30_000
    request = b"\x0a" + bytes([len(body) & 127 | 128, len(body) >> 7 & 127 | 128, len(body) >> 14])
    stream = await attacker.open(f"/{AUTHORITY}/AnswerOcsp")
    await attacker.send(stream, frame(request + body), end=True)
    assert await attacker.status(stream) == INVALID
    assert "body.extensions" in attacker.headers[stream]["grpc-message"]


async def test_an_open_method_takes_64_kibibytes(attacker: RawConnection) -> None:
    stream = await attacker.open(CHALLENGE)
    await attacker.send(stream, frame(bytes(70_000)), end=True)
    assert await attacker.status(stream) == INVALID


# --- The pools, without a network ----------------------------------------------------------------


async def never() -> bytes:
    await asyncio.Event().wait()
    raise AssertionError("unreachable")


async def test_unfinished_bodies_hold_no_more_than_the_budget(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(intake, "GRACE_SECONDS", 0)
    pools = Intake(calls=100, streams=1, bytes_in_flight=100, body_limit=20)

    async def upload(caller: str) -> bytes:
        with pools.admit(caller, is_service=False) as slot:
            return await pools.body(slot, never)

    uploads = [asyncio.create_task(upload("a")) for _ in range(10)]
    done, waiting = await asyncio.wait(uploads, timeout=0.1)
    assert len(waiting) == 4
    assert {type(each.exception()) for each in done} == {ResourceExhausted}
    # Another caller gets memory for a slow body of its own; when there is none left, it takes that
    # of the caller with most.
    others = [asyncio.create_task(upload(caller)) for caller in "bc"]
    done, waiting = await asyncio.wait({*waiting, *others}, timeout=0.1)
    assert [type(each.exception()) for each in done] == [ResourceExhausted]
    assert {each for each in others if each.done()} == set()
    for each in waiting:
        each.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    with pools.memory("a", 100):
        pass


async def test_a_body_that_arrives_at_once_asks_for_its_own_size_only() -> None:
    pools = Intake(calls=1, streams=1, bytes_in_flight=100, body_limit=20)

    async def read() -> bytes:
        return b"body"

    with pools.admit("a", is_service=False) as slot:
        data = await pools.body(slot, read)
        with pools.memory("a", len(data)), pools.memory("b", 90):
            pass


async def test_large_bodies_on_their_way_are_shared_by_caller() -> None:
    pools = Intake(calls=100, streams=1, bytes_in_flight=100, body_limit=20)

    async def upload(caller: str, length: int) -> bytes:
        with pools.admit(caller, is_service=False) as slot:
            return await pools.body(slot, never, length=length)

    large = intake.LARGE_BODY_BYTES + 1
    uploads = [asyncio.create_task(upload("a", large)) for _ in range(5)]
    done, waiting = await asyncio.wait(uploads, timeout=0.1)
    assert {type(each.exception()) for each in done} == {ResourceExhausted}
    assert len(waiting) == 2
    # Others get the reserve, and then the place of the caller with most. Small ones are no matter.
    others = [asyncio.create_task(upload(caller, large)) for caller in "bc"]
    small = asyncio.create_task(upload("a", 1_000))
    done, waiting = await asyncio.wait({*waiting, *others, small}, timeout=0.1)
    assert [type(each.exception()) for each in done] == [ResourceExhausted]
    assert not any(each.done() for each in (*others, small))
    for each in waiting:
        each.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_an_announced_body_has_seconds_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "GRACE_SECONDS", 0)
    monkeypatch.setattr(intake, "BODY_SECONDS", 0.01)
    pools = Intake(calls=1, streams=1, bytes_in_flight=100, body_limit=20)
    with pools.admit("a", is_service=False) as slot, pytest.raises(DeadlineExceeded):
        await pools.body(slot, never, length=1_000)


async def test_the_services_own_calls_stand_apart() -> None:
    pools = Intake(calls=1, streams=1, bytes_in_flight=100, body_limit=20)
    pools.admit("a", is_service=False)
    pools.admit("registry", is_service=True)


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::", "2001:db8:1:2::/64"),
        ("", ""),
        ("nonsense", ""),
    ],
)
def test_without_a_token_a_caller_is_an_address(address: str, key: str) -> None:
    assert caller_key(None, {ADDRESS_HEADER: address}) == key


def test_a_caller_is_the_tokens_subject_and_organization() -> None:
    officer = Caller("subjects/a", "subjects/o", frozenset())
    citizen = Caller("subjects/a", "", frozenset())
    address = {ADDRESS_HEADER: "192.0.2.1"}
    assert caller_key(officer, address) != caller_key(citizen, address)
    assert caller_key(officer, {}) == caller_key(officer, address)


def test_a_pool_of_one_is_not_all_reserve() -> None:
    asyncio.run(_enter_one())


async def _enter_one() -> None:
    Pool(1).enter("a")
