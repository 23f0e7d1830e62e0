"""Identity's events and records, as the registry asks for them."""

from __future__ import annotations

from collections.abc import AsyncIterator

from qagazsyz.identity.v1 import events_pb2
from services.registry.model.identity_events import (
    IdentityEvent,
    IdentityEventBasis,
    IdentityEventKind,
    IdentityRecord,
)
from services.runtime.clients import ServiceClient
from services.runtime.clock import from_timestamp

EVENTS = "qagazsyz.identity.v1.IdentityEventService"
# events.proto: what one page may hold.
PAGE_SIZE = 1_000


class IdentityEventClient:
    """Reads identity's events, acknowledges them, and lists its records. Methods raise Unavailable
    and DeadlineExceeded."""

    def __init__(self, identity: ServiceClient) -> None:
        self._identity = identity

    async def read_events(self, after: int, limit: int) -> list[IdentityEvent]:
        """Return the events behind a number, in order; of 0, behind the acknowledged ones.

        Raises ValueError for an event of a kind that is newer than this registry.
        """
        response = await self._identity.call(
            f"{EVENTS}/ReadEvents",
            events_pb2.ReadEventsRequest(after=after, limit=limit),
            events_pb2.ReadEventsResponse,
        )
        return [_event_of(each) for each in response.events]

    async def acknowledge(self, through: int) -> None:
        """Tell identity that the log has all events up to a number."""
        await self._identity.call(
            f"{EVENTS}/AcknowledgeEvents",
            events_pb2.AcknowledgeEventsRequest(through=through),
            events_pb2.AcknowledgeEventsResponse,
        )

    async def list_records(self) -> AsyncIterator[list[IdentityRecord]]:
        """Yield all records, page by page."""
        request = events_pb2.ListRecordsRequest(page_size=PAGE_SIZE)
        while True:
            response = await self._identity.call(
                f"{EVENTS}/ListRecords", request, events_pb2.ListRecordsResponse
            )
            yield [_record_of(each) for each in response.records]
            request.page_token = response.next_page_token
            if not request.page_token:
                return


def _event_of(message: events_pb2.IdentityEvent) -> IdentityEvent:
    return IdentityEvent(
        number=message.number,
        kind=IdentityEventKind(message.kind),
        basis=IdentityEventBasis(message.basis),
        time=from_timestamp(message.time),
        subject=message.subject,
        organization=message.organization,
        fingerprint=message.fingerprint,
        role=message.role,
        officers=tuple(message.officers),
        salts=tuple(message.salts),
    )


def _record_of(message: events_pb2.IdentityRecord) -> IdentityRecord:
    return IdentityRecord(
        subject=message.subject,
        organization=message.organization,
        fingerprint=message.fingerprint,
        role=message.role,
        is_ended=message.HasField("end_time"),
    )
