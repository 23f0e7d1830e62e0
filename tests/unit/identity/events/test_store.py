"""Events are numbered without a gap, and each reader has its place."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from services.identity.events import store
from services.identity.events.event import (
    ALERT_AFTER,
    REGISTRY,
    SALT_BYTES,
    STOP_AFTER,
    Happening,
    IdentityEventBasis,
    IdentityEventKind,
    check_is_logged,
)
from services.identity.events.recorder import EventRecorder
from services.runtime.clock import system_randomness
from services.runtime.errors import FailedPrecondition
from tests.clock import Clock
from tests.unit.identity.service import Identity

CERTIFIED = Happening(
    kind=IdentityEventKind.CERTIFIED,
    basis=IdentityEventBasis.APPROVED,
    subject="subjects/a",
    organization="subjects/o",
    fingerprint=bytes(32),
    officers=("subjects/b", "subjects/c"),
)


async def test_concurrent_events_are_numbered_without_a_gap(identity: Identity) -> None:
    recorder = EventRecorder(Clock(), system_randomness)
    database = identity.database
    async with database.reading() as connection:
        last = await store.get_last_number(connection)

    async def act() -> None:
        await database.run(lambda connection: recorder.record(connection, CERTIFIED))

    await asyncio.gather(*(act() for _ in range(12)))
    async with database.reading() as connection:
        events = await store.read_events(connection, after=last, limit=100)
    assert [event.number for event in events] == list(range(last + 1, last + 13))
    assert all(event.happening == CERTIFIED for event in events)
    salts = [salt for event in events for salt in event.salts]
    assert len(set(salts)) == 12 * 4
    assert all(len(salt) == SALT_BYTES for salt in salts)


async def test_an_act_that_is_undone_leaves_no_event(identity: Identity) -> None:
    recorder = EventRecorder(Clock(), system_randomness)
    async with identity.database.reading() as connection:
        last = await store.get_last_number(connection)
    with pytest.raises(ZeroDivisionError):
        async with identity.database.transaction() as connection:
            await recorder.record(connection, CERTIFIED)
            raise ZeroDivisionError
    async with identity.database.reading() as connection:
        assert await store.get_last_number(connection) == last
        assert await store.read_events(connection, after=last, limit=1) == []


async def test_a_readers_place_never_goes_back(identity: Identity) -> None:
    async with identity.database.transaction() as connection:
        assert await store.get_place(connection, REGISTRY) is None
        for through, place in ((3, 3), (2, 3), (5, 5)):
            await store.advance_place(connection, REGISTRY, through)
            assert await store.get_place(connection, REGISTRY) == place


async def test_nothing_is_issued_when_the_log_lacks_an_event_for_an_hour(
    identity: Identity,
) -> None:
    clock = Clock()
    recorder = EventRecorder(clock, system_randomness)
    async with identity.database.transaction() as connection:
        await store.advance_place(connection, REGISTRY, await store.get_last_number(connection))
        await recorder.record(connection, CERTIFIED)
        clock.now += STOP_AFTER - timedelta(seconds=1)
        await recorder.check_is_logged(connection)
        clock.now += timedelta(seconds=1)
        with pytest.raises(FailedPrecondition) as refusal:
            await recorder.check_is_logged(connection)
        assert refusal.value.reason == "LOG_BEHIND"
        await store.advance_place(connection, REGISTRY, await store.get_last_number(connection))
        await recorder.check_is_logged(connection)


def test_a_log_that_never_began_stops_nothing() -> None:
    assert ALERT_AFTER < STOP_AFTER
    check_is_logged(None, Clock()())
