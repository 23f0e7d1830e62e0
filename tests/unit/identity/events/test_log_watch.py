"""The log's falling behind is said once, without what happened."""

from __future__ import annotations

from datetime import timedelta

import pytest

from services.identity.events import store
from services.identity.events.event import (
    ALERT_AFTER,
    REGISTRY,
    STOP_AFTER,
    Happening,
    IdentityEventBasis,
    IdentityEventKind,
)
from services.identity.events.log_watch import LogWatch
from services.identity.events.recorder import EventRecorder
from services.runtime.clock import system_randomness
from tests.clock import Clock
from tests.unit.identity.service import Identity

BEHIND = "the transparency log has lacked an event for five minutes"
STOPPED = "the transparency log has lacked an event for an hour"
CAUGHT_UP = "the transparency log takes what happened again"
ADDED = Happening(
    kind=IdentityEventKind.MEMBERSHIP_ADDED,
    basis=IdentityEventBasis.ALONE,
    subject="subjects/person",
    organization="subjects/organization",
    officers=("subjects/officer",),
)


async def add_event(identity: Identity, clock: Clock) -> None:
    recorder = EventRecorder(clock, system_randomness)
    await identity.database.run(lambda connection: recorder.record(connection, ADDED))


async def acknowledge_all(identity: Identity) -> None:
    async with identity.database.transaction() as connection:
        await store.advance_place(connection, REGISTRY, await store.get_last_number(connection))


def said(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    """What the watch logged since the last look."""
    records = [one for one in caplog.records if one.name.endswith("log_watch")]
    caplog.clear()
    return [(one.levelname, one.getMessage()) for one in records]


async def test_a_log_that_falls_behind_is_an_error_once_at_each_limit(
    identity: Identity, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock()
    watch = LogWatch(database=identity.database, clock=clock)
    await add_event(identity, clock)
    await acknowledge_all(identity)
    await add_event(identity, clock)
    start = clock.now
    for age, expected in (
        (ALERT_AFTER - timedelta(seconds=1), []),
        (ALERT_AFTER, [("ERROR", BEHIND)]),
        (STOP_AFTER - timedelta(seconds=1), []),
        (STOP_AFTER, [("ERROR", STOPPED)]),
        (STOP_AFTER * 2, []),
    ):
        clock.now = start + age
        await watch.check()
        assert said(caplog) == expected, age
    await acknowledge_all(identity)
    await watch.check()
    assert said(caplog) == [("WARNING", CAUGHT_UP)]


async def test_a_log_that_falls_behind_again_is_an_error_again(
    identity: Identity, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock()
    watch = LogWatch(database=identity.database, clock=clock)
    for _ in range(2):
        await add_event(identity, clock)
        clock.now += ALERT_AFTER
        await watch.check()
        await acknowledge_all(identity)
        await watch.check()
        assert said(caplog) == [("ERROR", BEHIND), ("WARNING", CAUGHT_UP)]


async def test_a_log_that_never_took_an_event_is_behind(
    identity: Identity, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock()
    watch = LogWatch(database=identity.database, clock=clock)
    await add_event(identity, clock)
    clock.now += ALERT_AFTER
    await watch.check()
    assert said(caplog) == [("ERROR", BEHIND)]


async def test_a_log_that_has_every_event_is_not_behind(
    identity: Identity, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock()
    watch = LogWatch(database=identity.database, clock=clock)
    await add_event(identity, clock)
    await acknowledge_all(identity)
    clock.now += STOP_AFTER
    await watch.check()
    assert said(caplog) == []
