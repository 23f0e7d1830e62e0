"""IdentityEventService: what happened, for the transparency log; RPC in, RPC out."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncConnection

from qagazsyz.identity.v1 import events_pb2 as pb
from services.identity.events import store
from services.identity.events.messages import to_event, to_record
from services.runtime.errors import InvalidArgument
from services.runtime.server import Call
from services.runtime.storage.database import Database

# Events of one answer.
EVENTS_LIMIT = 1_000


class IdentityEventServicer:
    """Events in order, each reader's place among them, and what the events should add up to."""

    def __init__(self, *, database: Database) -> None:
        self._database = database

    async def ReadEvents(self, request: pb.ReadEventsRequest, call: Call) -> pb.ReadEventsResponse:
        for field in ("after", "limit"):
            if getattr(request, field) < 0:
                raise InvalidArgument(field, "is negative")
        async with self._database.reading() as connection:
            after = request.after or await store.get_place(connection, call.caller.service) or 0
            limit = min(request.limit or EVENTS_LIMIT, EVENTS_LIMIT)
            events = await store.read_events(connection, after=after, limit=limit)
        return pb.ReadEventsResponse(events=[to_event(event) for event in events])

    async def AcknowledgeEvents(
        self, request: pb.AcknowledgeEventsRequest, call: Call
    ) -> pb.AcknowledgeEventsResponse:
        async def work(connection: AsyncConnection) -> None:
            if not 0 < request.through <= await store.get_last_number(connection):
                raise InvalidArgument("through", "there is no event of that number")
            await store.advance_place(connection, call.caller.service, request.through)

        await self._database.run(work)
        return pb.AcknowledgeEventsResponse()

    async def ListRecords(
        self, request: pb.ListRecordsRequest, call: Call
    ) -> pb.ListRecordsResponse:
        page = call.page(request)
        async with self._database.reading() as connection:
            found = await store.list_records(connection, after=page.after, limit=page.limit)
        shown, next_page_token = page.cut(found, key=lambda record: record.key)
        return pb.ListRecordsResponse(
            records=[to_record(record) for record in shown], next_page_token=next_page_token
        )
