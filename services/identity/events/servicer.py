"""IdentityEventService: what happened, for the log and for signing; RPC in, RPC out."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncConnection

from qagazsyz.identity.v1 import events_pb2 as pb
from services.identity.events import store
from services.identity.events.messages import to_event, to_notice, to_record
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
        _check_not_negative(request)
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

    async def ReadPhoneNotices(
        self, request: pb.ReadPhoneNoticesRequest, _call: Call
    ) -> pb.ReadPhoneNoticesResponse:
        _check_not_negative(request)
        limit = min(request.limit or EVENTS_LIMIT, EVENTS_LIMIT)
        async with self._database.reading() as connection:
            notices = await store.read_notices(connection, after=request.after, limit=limit)
        return pb.ReadPhoneNoticesResponse(notices=[to_notice(each) for each in notices])

    async def AcknowledgePhoneNotices(
        self, request: pb.AcknowledgePhoneNoticesRequest, _call: Call
    ) -> pb.AcknowledgePhoneNoticesResponse:
        async def work(connection: AsyncConnection) -> None:
            if not 0 < request.through <= await store.get_last_notice(connection):
                raise InvalidArgument("through", "there was no notice of that number")
            await store.delete_notices(connection, request.through)

        await self._database.run(work)
        return pb.AcknowledgePhoneNoticesResponse()


def _check_not_negative(request: pb.ReadEventsRequest | pb.ReadPhoneNoticesRequest) -> None:
    """Raise InvalidArgument for a negative number or limit."""
    for field in ("after", "limit"):
        if getattr(request, field) < 0:
            raise InvalidArgument(field, "is negative")
