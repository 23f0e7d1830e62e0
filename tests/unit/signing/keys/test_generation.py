"""Generating keys: RSA waits in a queue of its own, in which each owner has a turn."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from qagazsyz.common.v1 import signatures_pb2
from services.runtime.concurrency.worker_pool import WorkerPool
from services.runtime.errors import ResourceExhausted
from services.runtime.storage.database import Database
from services.signing.keys.generation import WAITING_OF_ALL, WAITING_OF_ONE, KeyGenerator
from services.signing.keys.private_keys import KeyPair, generate
from signatures.algorithms import Algorithm
from tests.unit.signing.builders import create, key_servicer, rotate, sign, vault

RSA = Algorithm.RSA_PSS_SHA256
RSA_PSS = signatures_pb2.SIGNATURE_ALGORITHM_RSA_PSS_SHA256
PAIR = KeyPair(b"private", b"public")


class Maker:
    """Makes key pairs once it is let, and tells what it was asked for."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.entered = threading.Event()
        self.made: list[Algorithm] = []

    def __call__(self, algorithm: Algorithm) -> KeyPair:
        if algorithm.name.startswith("RSA"):
            self.entered.set()
            self.open.wait()
            self.made.append(algorithm)
            return PAIR
        return generate(algorithm)


class Queue:
    """A generator whose RSA pool is blocked by a first call, and the owners in the order in which
    they were served."""

    def __init__(self, maker: Maker) -> None:
        self.maker = maker
        self.generator = KeyGenerator(make=maker, rsa_pool=WorkerPool("rsa-keys", 1))
        self.served: list[str] = []

    async def ask(self, owner: str) -> asyncio.Task[None]:
        async def call() -> None:
            await self.generator.generate(RSA, owner=owner)
            self.served.append(owner)

        task = asyncio.ensure_future(call())
        await asyncio.sleep(0)
        return task

    async def block(self) -> asyncio.Task[None]:
        task = await self.ask("first")
        await asyncio.to_thread(self.maker.entered.wait, 10)
        return task


@pytest.fixture
def maker() -> Iterator[Maker]:
    maker = Maker()
    yield maker
    maker.open.set()


async def test_owners_have_turns_however_many_keys_one_asks_for(maker: Maker) -> None:
    queue = Queue(maker)
    tasks = [await queue.block()]
    tasks += [await queue.ask(owner) for owner in ("many", "many", "many", "one", "two")]
    maker.open.set()
    await asyncio.gather(*tasks)
    assert queue.served == ["first", "many", "one", "two", "many", "many"]


async def test_an_owner_has_few_places(maker: Maker) -> None:
    queue = Queue(maker)
    tasks = [await queue.block()]
    tasks += [await queue.ask("many") for _ in range(WAITING_OF_ONE)]
    with pytest.raises(ResourceExhausted) as caught:
        await queue.generator.generate(RSA, owner="many")
    assert caught.value.retry_after_seconds > 0
    tasks.append(await queue.ask("another"))
    maker.open.set()
    await asyncio.gather(*tasks)
    assert queue.served.count("another") == 1


async def test_a_new_owner_takes_a_place_of_the_owner_with_most(maker: Maker) -> None:
    queue = Queue(maker)
    first = await queue.block()
    waiting = [await queue.ask(f"owner {n // 4}") for n in range(WAITING_OF_ALL)]
    new = await queue.ask("new")
    maker.open.set()
    outcomes = await asyncio.gather(first, new, *waiting, return_exceptions=True)
    refused = [one for one in outcomes if one is not None]
    assert [type(one) for one in refused] == [ResourceExhausted]
    assert "new" in queue.served


async def test_a_call_that_is_just_cancelled_makes_room_too(maker: Maker) -> None:
    queue = Queue(maker)
    first = await queue.block()
    waiting = [await queue.ask(f"owner {n // 4}") for n in range(WAITING_OF_ALL)]
    # Cancelled, but not yet awake to leave when the new call comes.
    waiting[WAITING_OF_ONE - 1].cancel()
    maker.open.set()
    assert await queue.generator.generate(RSA, owner="new") == PAIR
    outcomes = await asyncio.gather(first, *waiting, return_exceptions=True)
    assert [type(one) for one in outcomes if one is not None] == [asyncio.CancelledError]


async def test_a_cancelled_call_leaves_its_place_and_its_turn(maker: Maker) -> None:
    queue = Queue(maker)
    first = await queue.block()
    cancelled = [await queue.ask("gone") for _ in range(WAITING_OF_ONE)]
    last = await queue.ask("last")
    for task in cancelled:
        task.cancel()
    await asyncio.gather(*cancelled, return_exceptions=True)
    again = await queue.ask("gone")
    maker.open.set()
    await asyncio.gather(first, last, again)
    assert queue.served == ["first", "last", "gone"]
    assert len(maker.made) == 3


async def test_a_turn_that_comes_with_the_cancellation_is_passed_on(maker: Maker) -> None:
    queue = Queue(maker)
    first = await queue.block()
    gone = await queue.ask("gone")
    last = await queue.ask("last")
    first.add_done_callback(lambda _: gone.cancel())
    maker.open.set()
    await asyncio.wait([first, gone, last])
    assert queue.served[-1] == "last"


async def test_rsa_keys_being_made_delay_no_signature_and_no_other_key(
    database: Database, maker: Maker
) -> None:
    generator = KeyGenerator(make=maker, rsa_pool=WorkerPool("rsa-keys", 1))
    service = key_servicer(database, vault(), generator=generator)
    key = await create(service)
    slow = asyncio.ensure_future(
        create(service, algorithm=signatures_pb2.SIGNATURE_ALGORITHM_RSA_PSS_SHA256)
    )
    await asyncio.to_thread(maker.entered.wait, 10)
    assert (await sign(service, key.name)).signature
    assert len((await rotate(service, key.name)).versions) == 2
    assert not slow.done()
    slow.cancel()
    await asyncio.wait([slow])
