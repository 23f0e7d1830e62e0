"""Identity's events come into the log exactly once, in order, and are acknowledged."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

import grpc.aio
import pytest

from qagazsyz.receipts import commitment
from services.registry.identity_events import collection
from services.registry.identity_events.clients import IdentityEventClient
from services.registry.identity_events.collection import EventCollection
from services.runtime.errors import Unavailable
from tests.unit.registry.identity_events.fake_identity import FakeIdentity
from tests.unit.registry.log.reader import entries_of
from tests.unit.registry.world import CITIZEN, MINISTRY, World, opened_world


def collection_of(world: World, client: IdentityEventClient) -> EventCollection:
    return EventCollection(world.database, world.registry.sequencer, client)


async def persist(events: EventCollection) -> None:
    """Collect as housekeeping does: two writers of one SQLite file may have to wait too long."""
    for _ in range(10):
        with suppress(Unavailable):
            return await events.collect()
    raise AssertionError("the database stays unavailable")


async def logged(world: World) -> list[str]:
    """The events of identity in the log, each by its kind and its subject's commitment."""
    return [
        f"{entry['event']} {entry.get('subject') or entry.get('person')}"
        for entry in await entries_of(world.database)
        if entry["event"].startswith(("certif", "member"))
    ]


async def test_events_are_logged_with_the_commitments_of_their_salts(
    world: World, identity: FakeIdentity, client: IdentityEventClient
) -> None:
    identity.tell()
    identity.tell_membership()
    await collection_of(world, client).collect()
    certified, added = (await entries_of(world.database))[-2:]
    salts = identity.events[0].salts
    assert certified == {
        "v": 2,
        "event": "certified",
        "time": "2026-11-23T12:00:00.000000Z",
        "by": "approved",
        "subject": commitment(salts[0], CITIZEN.encode()),
        "certificate": commitment(salts[1], identity.events[0].fingerprint),
        "officers": [
            commitment(salts[2], b"subjects/first-operator"),
            commitment(salts[3], b"subjects/second-operator"),
        ],
    }
    assert (added["event"], added["organization"], added["role"]) == (
        "membership_added",
        MINISTRY,
        "officer",
    )
    assert identity.acknowledged == 2


async def test_what_was_logged_is_not_logged_again(
    world: World, identity: FakeIdentity, client: IdentityEventClient
) -> None:
    identity.tell()
    events = collection_of(world, client)
    await events.collect()
    before = await entries_of(world.database)
    await events.collect()
    await collection_of(world, client).collect()
    assert await entries_of(world.database) == before


async def test_a_lost_acknowledgement_is_made_up_for_and_logs_nothing_twice(
    world: World, identity: FakeIdentity, client: IdentityEventClient
) -> None:
    identity.tell()
    identity.lost_acknowledgements = 1
    events = collection_of(world, client)
    with pytest.raises(grpc.aio.AioRpcError):
        await events.collect()
    assert identity.acknowledged == 0
    assert len(await logged(world)) == 1
    await events.collect()
    assert identity.acknowledged == 1
    assert len(await logged(world)) == 1


async def test_more_than_one_batch_is_logged_in_order(
    world: World,
    identity: FakeIdentity,
    client: IdentityEventClient,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(collection, "EVENTS_AT_ONCE", 3)
    for _ in range(8):
        identity.tell()
    await collection_of(world, client).collect()
    assert await logged(world) == [
        f"certified {commitment(event.salts[0], CITIZEN.encode())}" for event in identity.events
    ]
    assert identity.acknowledged == 8


async def test_two_replicas_log_each_event_once(
    database_url: str, tmp_path: Path, identity: FakeIdentity, client: IdentityEventClient
) -> None:
    async with (
        opened_world(database_url, tmp_path) as first,
        opened_world(database_url, tmp_path) as second,
    ):
        replicas = [collection_of(first, client), collection_of(second, client)]
        for _ in range(5):
            for _ in range(4):
                identity.tell()
            await asyncio.gather(*(persist(replica) for replica in replicas))
        assert await logged(first) == [
            f"certified {commitment(event.salts[0], CITIZEN.encode())}" for event in identity.events
        ]
    assert identity.acknowledged == 20


async def test_an_event_of_an_unknown_kind_waits_with_those_behind_it(
    world: World, identity: FakeIdentity, client: IdentityEventClient
) -> None:
    identity.tell()
    events = collection_of(world, client)
    await events.collect()
    identity.tell()
    identity.events[1].kind = 99  # type: ignore[assignment]  # a newer contract's
    identity.tell()
    with pytest.raises(ValueError, match="99"):
        await events.collect()
    assert len(await logged(world)) == 1
    assert identity.acknowledged == 1
