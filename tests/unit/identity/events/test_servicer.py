"""The registry reads events from its place on, and every certificate and membership there is."""

from __future__ import annotations

from datetime import timedelta

import grpc
from sqlalchemy import insert, update

from qagazsyz.identity.v1 import events_pb2 as pb
from services.identity.events import store
from services.identity.events.event import Happening, IdentityEventBasis, IdentityEventKind
from services.identity.events.recorder import EventRecorder
from services.identity.tables import ended_memberships, memberships
from services.runtime.clock import system_randomness
from tests.unit.identity.service import Identity, Role

READ = "IdentityEventService/ReadEvents"
ACKNOWLEDGE = "IdentityEventService/AcknowledgeEvents"
LIST = "IdentityEventService/ListRecords"
INVALID = grpc.StatusCode.INVALID_ARGUMENT
DENIED = grpc.StatusCode.PERMISSION_DENIED


async def add_events(identity: Identity, count: int) -> int:
    """Add events; return the number of the last one before them."""
    recorder = EventRecorder(identity.clock, system_randomness)
    happening = Happening(
        kind=IdentityEventKind.CERTIFIED,
        basis=IdentityEventBasis.APPROVED,
        subject="subjects/holder",
        organization="subjects/organization",
        fingerprint=bytes(range(32)),
        officers=("subjects/first", "subjects/second"),
    )
    async with identity.database.transaction() as connection:
        before = await store.get_last_number(connection)
        for _ in range(count):
            await recorder.record(connection, happening)
    return before


async def numbers(identity: Identity, *, after: int = 0, limit: int = 0) -> list[int]:
    request = pb.ReadEventsRequest(after=after, limit=limit)
    answer = await identity.call(READ, request, identity.as_service)
    return [event.number for event in answer.events]


async def acknowledge(identity: Identity, through: int) -> None:
    request = pb.AcknowledgeEventsRequest(through=through)
    await identity.call(ACKNOWLEDGE, request, identity.as_service)


async def records(identity: Identity, page_size: int) -> list[pb.IdentityRecord]:
    """All records, by pages."""
    found: list[pb.IdentityRecord] = []
    token = ""
    while True:
        request = pb.ListRecordsRequest(page_size=page_size, page_token=token)
        page = await identity.call(LIST, request, identity.as_service)
        assert len(page.records) <= page_size
        found += page.records
        token = page.next_page_token
        if not token:
            return found


async def test_an_event_is_read_as_it_was_recorded(identity: Identity) -> None:
    before = await add_events(identity, 1)
    request = pb.ReadEventsRequest(after=before)
    (event,) = (await identity.call(READ, request, identity.as_service)).events
    assert event.number == before + 1
    assert event.kind == pb.IDENTITY_EVENT_KIND_CERTIFIED
    assert event.basis == pb.IDENTITY_EVENT_BASIS_APPROVED
    assert event.time.ToDatetime() == identity.clock().replace(tzinfo=None)
    assert event.subject == "subjects/holder"
    assert event.organization == "subjects/organization"
    assert event.fingerprint == bytes(range(32))
    assert event.role == Role.ROLE_UNSPECIFIED
    assert list(event.officers) == ["subjects/first", "subjects/second"]
    # Of the subject, of the certificate and of each officer.
    assert [len(salt) for salt in event.salts] == [32] * 4


async def test_events_are_read_in_order_behind_a_number_up_to_a_limit(identity: Identity) -> None:
    before = await add_events(identity, 3)
    assert await numbers(identity, after=before) == [before + 1, before + 2, before + 3]
    assert await numbers(identity, after=before + 1, limit=1) == [before + 2]
    assert await numbers(identity, after=before + 3) == []


async def test_events_are_read_from_the_acknowledged_place_on(identity: Identity) -> None:
    before = await add_events(identity, 3)
    await acknowledge(identity, before + 2)
    assert await numbers(identity) == [before + 3]
    # What is acknowledged can be read again, and an earlier place changes nothing.
    assert await numbers(identity, after=before + 1) == [before + 2, before + 3]
    await acknowledge(identity, before + 1)
    assert await numbers(identity) == [before + 3]


async def test_an_event_that_is_not_there_is_not_acknowledged(identity: Identity) -> None:
    before = await add_events(identity, 1)
    for through in (before + 2, -1):
        request = pb.AcknowledgeEventsRequest(through=through)
        assert await identity.refused(ACKNOWLEDGE, request, identity.as_service) == INVALID
    assert before + 1 in await numbers(identity)


async def test_negative_numbers_are_refused(identity: Identity) -> None:
    for request in (pb.ReadEventsRequest(after=-1), pb.ReadEventsRequest(limit=-1)):
        assert await identity.refused(READ, request, identity.as_service) == INVALID


async def test_only_the_registry_reads_events_and_records(identity: Identity) -> None:
    for token in (identity.as_signing, identity.as_operator, identity.as_auditor):
        assert await identity.refused(READ, pb.ReadEventsRequest(), token) == DENIED
        request = pb.AcknowledgeEventsRequest(through=1)
        assert await identity.refused(ACKNOWLEDGE, request, token) == DENIED
        assert await identity.refused(LIST, pb.ListRecordsRequest(), token) == DENIED


async def test_pages_of_any_size_list_each_record_once(identity: Identity) -> None:
    """Certificates first, then memberships, those of one person that ended twice included."""
    people = [await identity.person() for _ in range(2)]
    organization = await identity.organization()
    now = identity.clock()
    ended = [
        {
            "organization": organization,
            "person": person,
            "role": int(Role.ROLE_OFFICER),
            "create_time": now,
            "begin_time": now,
            "remove_time": now + timedelta(minutes=minutes, microseconds=minutes),
        }
        for person in people
        for minutes in (0, 1, 2)
    ]
    for person in people:
        await identity.member(organization, person)
    async with identity.database.transaction() as connection:
        await connection.execute(insert(ended_memberships), ended)
        await connection.execute(update(memberships).values(begin_time=now))
    whole = await records(identity, 1_000)
    is_membership = [not record.fingerprint for record in whole]
    assert is_membership == sorted(is_membership)
    # The operator's and two officers', and those that ended.
    assert sum(is_membership) == 3 + len(ended)
    assert sum(record.HasField("end_time") for record in whole) == len(ended)
    assert len({record.SerializeToString() for record in whole}) == len(whole)
    for page_size in (1, 2, 3):
        assert await records(identity, page_size) == whole, page_size


async def test_a_record_says_when_its_certificate_was_revoked(identity: Identity) -> None:
    made, _ = await identity.issue(await identity.person())
    revoked = await identity.revoke(made.name, identity.as_operator)
    (record,) = [one for one in await records(identity, 50) if one.HasField("end_time")]
    assert record.fingerprint.hex() == made.name.rpartition("/")[2]
    assert record.end_time == revoked.revoke_time
