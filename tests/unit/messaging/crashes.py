"""Kills a messaging service at named steps, and compares the SMSC's record with the database."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import random
from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from typing import Any, Protocol

from sqlalchemy import select

from qagazsyz.messaging.v1 import messages_pb2
from services.messaging.inbox.rules import LEASE
from services.messaging.main import MIGRATIONS
from services.messaging.privacy.letters import Letter
from services.messaging.privacy.vault import Vault
from services.messaging.tables import messages, received_messages
from services.runtime.sealing import Sealed
from services.runtime.storage.database import Database
from services.runtime.storage.migrations import migrate
from tests.unit.messaging import crash_service
from tests.unit.messaging.builders import vault
from tests.unit.messaging.crash_service import STEPS, Run

SECONDS = 120.0
# After so many, what they left must not take longer than that.
ROUND_KILLS = 55
# 55 at each step; and a twentieth of them, half on each kind of database, rounded up: each takes
# 0.2 s of CPU.
KILLS = 55 * len(STEPS)
FEW_KILLS = -(-KILLS // 40)
# The second where the SMSC sent a receipt.
SENT = (messages_pb2.MESSAGE_STATE_SENT, messages_pb2.MESSAGE_STATE_DELIVERED)

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["__main__", crash_service.__name__])


class Record(Protocol):
    """An SMSC, and what happened there by its own record."""

    # Where it listens.
    port: int

    async def send_texts(self, texts: Sequence[str]) -> None:
        """Let a phone send these, each delivered until it is acknowledged."""

    async def settle(self) -> None:
        """Wait until everything that has happened there is in this record."""

    def taken_texts(self) -> list[tuple[str, Hashable]]:
        """Return the text of each submit_sm, and everything that was in it."""

    def acknowledged_texts(self) -> set[str]:
        """Return what the service acknowledged, of what the phone sent."""


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


async def run_until_quiet(run: Run, told: Told, smsc: Record, arrived: int) -> None:
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
                and len(smsc.acknowledged_texts()) == arrived
            )

    with started(run) as (_, pipe):
        async with asyncio.timeout(SECONDS):
            while not await is_quiet():  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        told.take(pipe)
    await database.close()


def choose_steps(kills: int, chance: random.Random) -> list[str]:
    """Return so many steps in a random order, each of them as often as another or once more."""
    rounds = [chance.sample(STEPS, len(STEPS)) for _ in range(-(-kills // len(STEPS)))]
    steps = [step for one in rounds for step in one][:kills]
    chance.shuffle(steps)
    return steps


async def kill_at(url: str, smsc: Record, steps: Sequence[str], chance: random.Random) -> None:
    """Kill the service at each step in turn; after each round of kills let a process finish what
    they left, and compare."""
    database = Database(url)
    await migrate(database, MIGRATIONS)
    told = Told()
    arrived: list[str] = []
    for n, step in enumerate(steps, 1):
        incoming = [f"кіріс {n}-{i}" for i in range(3)]
        arrived += incoming
        await smsc.send_texts(incoming)
        texts = tuple(f"шығыс {n}-{i}" + "ә" * i for i in range(4))
        await run_until_killed(Run(url, smsc.port, texts, step, chance.randint(1, 3)), told)
        if n % ROUND_KILLS == 0 or n == len(steps):
            # What killed readers had is leased to them until then.
            last = Run(url, smsc.port, (), ahead=LEASE)
            await run_until_quiet(last, told, smsc, len(arrived))
            await smsc.settle()
            await compare(database, told, smsc, arrived)
    await database.close()


async def compare(database: Database, told: Told, smsc: Record, arrived: list[str]) -> None:
    taken = set(smsc.taken_texts())
    by_text = Counter(text for text, _ in smsc.taken_texts())
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
        if text_of(known, row) in twice:
            assert row.maybe_twice
        assert row.state in SENT
    # Incoming: each once, and each was read under one id.
    texts = Counter(text_of(known, row) for row in received)
    assert texts == Counter(arrived)
    assert Counter(told.read.values()) == Counter(arrived)
    print(f"{len(stored)} out, {len(twice)} of them twice, {len(received)} in")


def text_of(known: Vault, row: Any) -> str:
    """Return the text of a row of messages or of received_messages."""
    plain = known.unseal(Sealed(row.key_id, bytes(row.sealed)), record=row.id)
    return Letter.from_bytes(plain).content.decode()


def seed() -> int:
    found = int(os.environ.get("SEED", "0")) or random.SystemRandom().randrange(1, 1_000_000)
    print(f"SEED={found}")
    return found
