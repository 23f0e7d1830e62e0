"""Subjects list what identity did in their names, with receipts that open everything."""

from __future__ import annotations

import pytest

from qagazsyz.identity.v1 import events_pb2
from services.registry.identity_events.clients import IdentityEventClient
from services.registry.identity_events.collection import EventCollection
from services.runtime.errors import InvalidArgument, PermissionDenied
from tests.unit.registry.identity_events.fake_identity import FakeIdentity
from tests.unit.registry.world import (
    CITIZEN,
    MINISTRY,
    SPOUSE,
    World,
    auditor,
    citizen,
    spouse,
    verified,
)


@pytest.fixture
async def told(world: World, identity: FakeIdentity, client: IdentityEventClient) -> FakeIdentity:
    """A certificate over the citizen's name, one over the spouse's, and a membership."""
    identity.tell()
    identity.tell(subject=SPOUSE)
    identity.tell_membership()
    await EventCollection(world.database, world.registry.sequencer, client).collect()
    return identity


async def test_a_citizen_sees_what_was_done_in_their_name_newest_first(
    world: World, told: FakeIdentity
) -> None:
    added, certified = (await world.identity_events()).events
    assert certified.kind == events_pb2.IDENTITY_EVENT_KIND_CERTIFIED
    assert certified.fingerprint == told.events[0].fingerprint
    assert list(certified.officers) == ["subjects/first-operator", "subjects/second-operator"]
    assert certified.time == told.events[0].time
    assert added.kind == events_pb2.IDENTITY_EVENT_KIND_MEMBERSHIP_ADDED
    assert added.organization == MINISTRY


@pytest.mark.usefixtures("told")
async def test_the_receipt_opens_every_commitment_of_the_entry(world: World) -> None:
    added, certified = (await world.identity_events()).events
    proved = verified(certified.receipt)
    assert proved.entry["event"] == "certified"
    assert proved.openings == {
        "subject": CITIZEN.encode(),
        "certificate": certified.fingerprint,
        "officers[0]": b"subjects/first-operator",
        "officers[1]": b"subjects/second-operator",
    }
    assert verified(added.receipt).openings["person"] == CITIZEN.encode()


@pytest.mark.usefixtures("told")
async def test_nobody_lists_anothers_events_but_auditors(world: World) -> None:
    with pytest.raises(PermissionDenied):
        await world.identity_events(spouse, subject=CITIZEN)
    assert len((await world.identity_events(auditor, subject=CITIZEN)).events) == 2
    assert len((await world.identity_events(spouse)).events) == 1


@pytest.mark.usefixtures("told")
async def test_an_auditor_who_names_nobody_lists_their_own(world: World) -> None:
    assert list((await world.identity_events(auditor)).events) == []


@pytest.mark.usefixtures("told")
async def test_pages_follow_one_another(world: World) -> None:
    first = await world.identity_events(page_size=1)
    second = await world.identity_events(page_size=1, page_token=first.next_page_token)
    assert [*first.events, *second.events] == list((await world.identity_events()).events)
    assert second.next_page_token == ""
    with pytest.raises(InvalidArgument, match="page_token"):
        await world.identity_events(auditor, subject=CITIZEN, page_token=first.next_page_token)


async def test_a_citizen_without_events_has_an_empty_list(world: World) -> None:
    assert list((await world.identity_events(citizen)).events) == []
