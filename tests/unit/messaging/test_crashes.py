"""SIGKILL at each named step: nothing that a sender or the SMSC was told of is lost or doubled.

The SMSC is in this process, and its own record is compared one to one with the database.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import random
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess

import pytest
from sqlalchemy import select

from qagazsyz.messaging.v1 import messages_pb2
from services.messaging.main import MIGRATIONS
from services.messaging.tables import messages, received_messages
from services.runtime.storage.database import Database
from services.runtime.storage.migrations import migrate
from tests.smsc import Delivery, Smsc, running
from tests.unit.messaging import crash_service
from tests.unit.messaging.builders import vault
from tests.unit.messaging.crash_service import STEPS, Run

KILLS_A_STEP = 5
# A twentieth of all of them, rounded up, at every `make test`.
FEW_KILLS = 3
SECONDS = 60.0

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["__main__", crash_service.__name__])


@dataclass
class Told:
    """What callers of the killed processes were told."""

    # The text of each message that was answered, by its name.
    sent: dict[str, str] = field(default_factory=dict)
    # What readers had, by its id.
    read: dict[str, str] = field(default_factory=dict)

    def take(self, pipe: Connection) -> bool:
        """Take what was told; False at the end, where the last may be torn."""
        try:
            while pipe.poll():
                kind, key, text = pipe.recv()
                getattr(self, kind)[key] = text
        except (EOFError, OSError):
            return False
        return True


@contextmanager
def started(run: Run) -> Iterator[tuple[ForkServerProcess, Connection]]:
    told, telling = FORKS.Pipe(duplex=False)
    process = FORKS.Process(target=crash_service.main, args=(run, telling))
    process.start()
    telling.close()
    try:
        yield process, told
    finally:
        process.kill()
        process.join()
        process.close()
        told.close()


async def run_until_killed(run: Run, told: Told) -> None:
    with started(run) as (process, pipe):
        async with asyncio.timeout(SECONDS):
            await asyncio.to_thread(process.join, SECONDS)
        assert process.exitcode == -9, f"{run.step} was not reached"
        told.take(pipe)


async def run_until_quiet(run: Run, told: Told, smsc: Smsc, arrived: int) -> None:
    """Let a process finish what the killed ones left."""
    database = Database(run.url)

    async def is_quiet() -> bool:
        async with database.reading() as connection:
            queued = await connection.execute(
                select(messages.c.number).where(
                    messages.c.state == messages_pb2.MESSAGE_STATE_QUEUED
                )
            )
            unread = await connection.execute(
                select(received_messages.c.number).where(received_messages.c.end_time.is_(None))
            )
            return (
                not queued.first()
                and not unread.first()
                and len({each.user_data for each in smsc.acknowledged}) == arrived
            )

    with started(run) as (_, pipe):
        async with asyncio.timeout(SECONDS):
            while not await is_quiet():  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        told.take(pipe)
    await database.close()


async def kill_at(url: str, steps: list[str], chance: random.Random) -> None:
    database = Database(url)
    await migrate(database, MIGRATIONS)
    told = Told()
    arrived: list[str] = []
    async with running(Smsc()) as smsc:
        for n, step in enumerate(steps):
            incoming = [f"кіріс {n}-{i}" for i in range(3)]
            arrived += incoming
            await smsc.deliver(
                *(
                    Delivery("77010000001", "1414", text.encode("utf-16-be"), data_coding=8)
                    for text in incoming
                )
            )
            texts = tuple(f"шығыс {n}-{i}" + "ә" * i for i in range(4))
            await run_until_killed(Run(url, smsc.port, texts, step, chance.randint(1, 3)), told)
        await run_until_quiet(Run(url, smsc.port, ()), told, smsc, len(arrived))
        await compare(database, told, smsc, arrived)
    await database.close()


async def compare(database: Database, told: Told, smsc: Smsc, arrived: list[str]) -> None:
    taken = Counter(each for each in smsc.taken)
    by_text = Counter(each.user_data.decode("utf-16-be") for each in smsc.taken)
    async with database.reading() as connection:
        stored = {f"messages/{row.id}": row for row in await connection.execute(select(messages))}
        received = list(await connection.execute(select(received_messages)))
    # Outgoing: none is lost; what went twice has the same bytes, and says so.
    assert {name for name in told.sent if name not in stored} == set()
    assert [text for text in told.sent.values() if by_text[text] == 0] == []
    twice = {text for text, times in by_text.items() if times > 1}
    assert len(taken) == len(by_text), "the same text went with other bytes"
    assert len(by_text) == len(stored), "a text went that nobody sent, or one did not go"
    known = vault()
    for row in stored.values():
        letter = crash_letter(known, row)
        if letter in twice:
            assert row.maybe_twice
        assert row.state == messages_pb2.MESSAGE_STATE_SENT
    # Incoming: each once, and each was read under one id.
    texts = Counter(crash_letter(known, row) for row in received)
    assert texts == Counter(arrived)
    assert Counter(told.read.values()) == Counter(arrived)
    print(f"{len(stored)} out, {len(twice)} of them twice, {len(received)} in")


def crash_letter(known: object, row: object) -> str:
    from services.messaging.privacy.letters import Letter
    from services.runtime.sealing import Sealed

    sealed = Sealed(row.key_id, bytes(row.sealed))  # type: ignore[attr-defined]
    plain = known.unseal(sealed, record=row.id)  # type: ignore[attr-defined]
    return Letter.from_bytes(plain).content.decode()


def seed() -> int:
    found = int(os.environ.get("SEED", "0")) or random.SystemRandom().randrange(1, 1_000_000)
    print(f"SEED={found}")
    return found


async def test_nothing_is_lost_when_the_service_is_killed(database_url: str) -> None:
    chance = random.Random(seed())
    await kill_at(database_url, chance.sample(STEPS, FEW_KILLS), chance)


@pytest.mark.long
@pytest.mark.skipif("LONG_RUN" not in os.environ, reason="minutes; LONG_RUN=1 runs it")
async def test_nothing_is_lost_in_fifty_five_kills_at_each_step(database_url: str) -> None:
    chance = random.Random(seed())
    steps = list(STEPS * KILLS_A_STEP)
    chance.shuffle(steps)
    await kill_at(database_url, steps, chance)
