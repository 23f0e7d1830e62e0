"""Messaging against SMSCs that others wrote: an exchange with each, and SIGKILL at named steps."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from qagazsyz.messaging.v1 import messages_pb2
from services.messaging.main import MIGRATIONS
from services.runtime.storage.database import Database
from services.runtime.storage.migrations import migrate
from tests.judges.smscs import JSMPP, NPM, Kind, judging
from tests.smsc import Smsc
from tests.unit.messaging.builders import PHONE, Stream, linked, make_service
from tests.unit.messaging.crashes import FEW_KILLS, KILLS, choose_steps, kill_at, seed

KINDS = [
    pytest.param(NPM, id="npm-smpp", marks=pytest.mark.node),
    pytest.param(JSMPP, id="jsmpp", marks=pytest.mark.java),
]
TEXT = "PIN {1}: 5€"
# 3GPP TS 23.038, 6.2.1: braces and the euro take an escape.
OCTETS = b"PIN \x1b\x281\x1b\x29: 5\x1b\x65"
LONG = "Құжат №1 дайын. " * 8
PACKET = bytes(range(256)) * 2
UCS2, PACKET_CODING, PACKET_PROTOCOL = 8, 0xF6, 0x7F


@pytest.mark.parametrize("kind", KINDS)
async def test_both_ends_of_an_exchange_have_the_same_record(kind: Kind, tmp_path: Path) -> None:
    database = Database(f"sqlite+aiosqlite:///{tmp_path / 'messaging.db'}")
    await migrate(database, MIGRATIONS)
    service = make_service(database)
    try:
        async with judging(kind, receipts=True) as judge:
            names = [
                (await service.send(**content)).name
                for content in ({"text": TEXT}, {"text": LONG}, {"binary": PACKET})
            ]
            await judge.send_texts(["Р 1 1 2 Қ", "екінші"])
            async with linked(service, Smsc(port=judge.port)):
                for name in names:
                    ended = await service.until(name, messages_pb2.MESSAGE_STATE_DELIVERED)
                    assert not ended.maybe_twice
                stream = Stream(service, messages_pb2.INBOX_TEXT, "requests")
                received = []
                for _ in range(2):
                    received.append(await stream.next())
                    stream.acknowledge(received[-1].id)
                await stream.close()
                await judge.until(lambda: len(judge.acknowledged) == 2)
            await judge.until(lambda: judge.unbinds == 1)
    finally:
        await database.close()
    assert [(each.text, each.phone) for each in received] == [
        ("Р 1 1 2 Қ", PHONE),
        ("екінші", PHONE),
    ]
    assert judge.acknowledged == [("Р 1 1 2 Қ", 0), ("екінші", 0)]
    assert {each.destination for each in judge.taken} == {PHONE.lstrip("+")}
    # The judge reads headers, and what it can of alphabets, by itself.
    first, *others = judge.taken
    assert first.headers == 0
    if kind.decodes_default_alphabet:
        assert first.text == TEXT
    else:
        assert first.content == OCTETS
    texts = [each for each in others if each.coding == UCS2]
    assert len(texts) > 1
    assert "".join(each.text for each in texts) == LONG
    assert {each.headers for each in texts} == {1}
    parts = [each for each in others if each.coding == PACKET_CODING]
    assert [each.headers for each in parts] == [2, 1, 1, 1]
    assert {each.protocol for each in parts} == {PACKET_PROTOCOL}
    assert b"".join(each.content for each in parts) == PACKET
    assert len(texts) + len(parts) == len(others)


@pytest.mark.parametrize("kind", KINDS)
async def test_nothing_is_lost_when_the_service_is_killed(kind: Kind, database_url: str) -> None:
    chance = random.Random(seed())
    steps = choose_steps(KILLS if "LONG_RUN" in os.environ else FEW_KILLS, chance)
    async with judging(kind) as judge:
        await kill_at(database_url, judge, steps, chance)
