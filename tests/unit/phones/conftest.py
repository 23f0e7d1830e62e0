"""A network of subscribers with a held clock, and its SMSC on a free port."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from phones.clock import NetworkClock
from phones.handset import Phone
from phones.network import Network
from phones.outcomes import Outcome
from phones.record import Record
from phones.smsc.server import Account, Smsc
from phones.subscribers import Subscriber, new_sim
from sms.alphabets import Alphabet
from tests.clock import Clock
from tests.unit.phones.esme import PASSWORD, Esme, Platform

ACCOUNT = Account("platform", PASSWORD)


def subscriber(number: str = "+77010001000", **changes: str) -> Subscriber:
    """A person with the smallest screen, who signs."""
    counting = iter(range(1, 1000))
    one = Subscriber(
        number=number,
        sim=new_sim(lambda size: next(counting).to_bytes(size, "big")),
        language="en",
        alphabet=Alphabet.UCS2,
        screen="1x16",
    )
    for name, value in changes.items():
        setattr(one, name, value)
    return one


@dataclass
class World:
    """The network with all that is in it."""

    network: Network
    clock: NetworkClock
    record: Record
    smsc: Smsc
    port: int

    def phone(self, outcome: Outcome = Outcome.SIGNS) -> Phone:
        return next(
            each for each in self.network.phones.values() if each.subscriber.outcome is outcome
        )

    def subscriber(self, outcome: Outcome = Outcome.SIGNS) -> Subscriber:
        return self.phone(outcome).subscriber


@pytest.fixture
async def world() -> AsyncIterator[World]:
    clock = NetworkClock(Clock(datetime(2026, 11, 27, 12, tzinfo=UTC)), held=True)
    record = Record(clock)
    numbers = [f"+77010001{each:03d}" for each in Outcome if each]
    network = Network([subscriber(), *(subscriber(number) for number in numbers)], clock, record)
    smsc = Smsc(network, clock, record, ACCOUNT)
    port = await smsc.start("127.0.0.1", 0)
    try:
        yield World(network, clock, record, smsc, port)
    finally:
        await smsc.stop()


@pytest.fixture
async def esme(world: World) -> AsyncIterator[Esme]:
    bound = await Esme.bind(world.port)
    try:
        yield bound
    finally:
        bound.close()


@pytest.fixture
def platform(esme: Esme) -> Platform:
    return Platform(esme)
