"""SIGKILL at each named step: nothing that a sender or the SMSC was told of is lost or doubled.

The SMSC is the simulated network's, in this process, and its own record is compared one to one with
the database. tests/judges/test_messaging.py does the same against SMSCs that others wrote.
"""

from __future__ import annotations

import os
import random
from collections.abc import AsyncIterator, Hashable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from phones.clock import NetworkClock
from phones.network import Network
from phones.record import Record
from phones.smsc.server import Account, Smsc
from phones.subscribers import Subscriber, new_sim
from services.runtime.clock import system_clock, system_randomness
from sms.alphabets import Alphabet
from tests.smsc import Smsc as AnySmsc
from tests.unit.messaging.builders import account
from tests.unit.messaging.crashes import FEW_KILLS, KILLS, choose_steps, kill_at, seed

# Those that crash_service.py writes to.
NUMBERS = [f"+7701000000{digit}" for digit in range(10)]


@dataclass
class SimulatedSmsc:
    """The simulated network, and one of its phones that sends texts."""

    network: Network
    record: Record
    port: int

    async def send_texts(self, texts: Sequence[str]) -> None:
        for text in texts:
            self.network.send_text(NUMBERS[1], "1414", text)

    async def settle(self) -> None:
        """What happens is recorded at once."""

    def taken_texts(self) -> list[tuple[str, Hashable]]:
        fields = ("number", "user_data", "esm_class", "data_coding")
        return [
            (_text(entry["user_data"]), tuple(entry[field] for field in fields))
            for entry in self.record.of("submitted")
        ]

    def acknowledged_texts(self) -> set[str]:
        sent = {entry["serial"]: entry["user_data"] for entry in self.record.of("sent")}
        return {_text(sent[entry["serial"]]) for entry in self.record.of("acknowledged")}


def _text(user_data: str) -> str:
    return bytes.fromhex(user_data).decode("utf-16-be")


@asynccontextmanager
async def simulated() -> AsyncIterator[SimulatedSmsc]:
    """Run the simulated network during the block."""
    clock = NetworkClock(system_clock)
    record = Record(clock)
    subscribers = [
        Subscriber(number, new_sim(system_randomness), "kk", Alphabet.UCS2, "2x16")
        for number in NUMBERS
    ]
    network = Network(subscribers, clock, record)
    known = account(AnySmsc())
    smsc = Smsc(network, clock, record, Account(known.system_id, known.password))
    port = await smsc.start("127.0.0.1", 0)
    try:
        yield SimulatedSmsc(network, record, port)
    finally:
        await smsc.stop()


async def kill(database_url: str, kills: int) -> None:
    chance = random.Random(seed())
    async with simulated() as smsc:
        await kill_at(database_url, smsc, choose_steps(kills, chance), chance)


async def test_nothing_is_lost_when_the_service_is_killed(database_url: str) -> None:
    await kill(database_url, FEW_KILLS)


@pytest.mark.long
@pytest.mark.skipif("LONG_RUN" not in os.environ, reason="minutes; LONG_RUN=1 runs it")
async def test_nothing_is_lost_in_fifty_five_kills_at_each_step(database_url: str) -> None:
    await kill(database_url, KILLS)
