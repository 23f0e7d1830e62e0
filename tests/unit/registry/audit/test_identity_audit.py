"""The audit names what identity keeps and the log does not tell, and what it tells and identity
does not keep."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from qagazsyz.identity.v1 import events_pb2
from services.registry.audit.identity_audit import compare_with_identity
from services.registry.identity_events.clients import IdentityEventClient
from services.registry.identity_events.collection import EventCollection
from tests.unit.registry.identity_events.fake_identity import FakeIdentity, serving
from tests.unit.registry.world import CITIZEN, MINISTRY, World

REVOKED = events_pb2.IDENTITY_EVENT_KIND_CERTIFICATE_REVOKED


@pytest.fixture
def identity() -> FakeIdentity:
    """Three certificates, one of them revoked, and a membership that ended and began again."""
    identity = FakeIdentity()  # type: ignore[abstract]
    for _ in range(3):
        identity.tell()
    identity.tell(REVOKED, fingerprint=identity.events[1].fingerprint)
    identity.tell_membership()
    identity.tell_membership(is_end=True)
    identity.tell_membership()
    for number in range(3):
        identity.keep(identity.events[number], ended=number == 1)
    identity.keep(identity.events[4], ended=True)
    identity.keep(identity.events[6])
    return identity


@pytest.fixture
async def client(identity: FakeIdentity, tmp_path: Path) -> AsyncIterator[IdentityEventClient]:
    async with serving(identity, tmp_path) as client:
        yield client


async def collect(world: World, client: IdentityEventClient) -> None:
    await EventCollection(world.database, world.registry.sequencer, client).collect()


async def differences(world: World, client: IdentityEventClient) -> list[str]:
    found = await compare_with_identity(world.database, client, world.clock)
    return [str(each) for each in found]


def certificate_name(event: events_pb2.IdentityEvent) -> str:
    return f"{event.subject}/certificates/{event.fingerprint.hex()}"


async def test_what_is_logged_and_kept_does_not_differ(
    world: World, client: IdentityEventClient
) -> None:
    await collect(world, client)
    assert await differences(world, client) == []


async def test_phones_are_told_of_beside_their_certificates(
    world: World, identity: FakeIdentity, client: IdentityEventClient
) -> None:
    """Before they are in the log and after."""
    sim = identity.events[0].fingerprint
    identity.tell(events_pb2.IDENTITY_EVENT_KIND_PHONE_ACTIVATED, fingerprint=sim)
    identity.tell(events_pb2.IDENTITY_EVENT_KIND_PHONE_ENDED, fingerprint=sim)
    assert await differences(world, client) == []
    await collect(world, client)
    assert await differences(world, client) == []


async def test_what_is_on_its_way_into_the_log_does_not_differ(
    world: World, client: IdentityEventClient
) -> None:
    assert await differences(world, client) == []


async def test_events_that_wait_too_long_are_named_once(
    world: World, client: IdentityEventClient
) -> None:
    world.clock.move(minutes=6)
    (found,) = await differences(world, client)
    assert found.startswith("event 1 of identity: 7 events of identity wait for the log since")


async def test_a_certificate_without_an_event_is_named(
    world: World, identity: FakeIdentity, client: IdentityEventClient
) -> None:
    await collect(world, client)
    forged = events_pb2.IdentityEvent(subject=CITIZEN, fingerprint=b"\xff" * 32)
    identity.keep(forged)
    assert await differences(world, client) == [f"{certificate_name(forged)}: has no entry"]


async def test_a_certificate_given_to_another_subject_is_named_both_ways(
    world: World, identity: FakeIdentity, client: IdentityEventClient
) -> None:
    await collect(world, client)
    identity.records[0].subject = "subjects/thief"
    found = await differences(world, client)
    assert len(found) == 2
    assert "identity has no record of it (certified" in found[0]
    assert found[1].startswith("subjects/thief/certificates/")


async def test_a_certificate_that_is_gone_is_named(
    world: World, identity: FakeIdentity, client: IdentityEventClient
) -> None:
    await collect(world, client)
    gone = identity.events[0]
    del identity.records[0]
    (found,) = await differences(world, client)
    assert found.endswith(f"identity has no record of it (certified, {certificate_name(gone)})")


async def test_a_revocation_taken_back_is_named(
    world: World, identity: FakeIdentity, client: IdentityEventClient
) -> None:
    await collect(world, client)
    identity.records[1].ClearField("end_time")
    (found,) = await differences(world, client)
    assert "identity has no record of it (certificate_revoked" in found


async def test_a_revocation_without_an_event_is_named(
    world: World, identity: FakeIdentity, client: IdentityEventClient
) -> None:
    await collect(world, client)
    identity.records[0].end_time.CopyFrom(identity.events[0].time)
    name = certificate_name(identity.events[0])
    assert await differences(world, client) == [f"{name}: its end has no entry"]


async def test_a_membership_without_an_event_is_named(
    world: World, identity: FakeIdentity, client: IdentityEventClient
) -> None:
    await collect(world, client)
    identity.keep(identity.events[6])
    name = f"{MINISTRY}/memberships/{CITIZEN.removeprefix('subjects/')}"
    assert await differences(world, client) == [f"{name}: has no entry"]


async def test_a_membership_that_is_gone_is_named(
    world: World, identity: FakeIdentity, client: IdentityEventClient
) -> None:
    await collect(world, client)
    del identity.records[-1]
    (found,) = await differences(world, client)
    assert "identity has no record of it (membership_added" in found
