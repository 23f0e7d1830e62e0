"""MandateService: the end of mandates, and what the log has of requests."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncConnection

from qagazsyz.registry.v1 import delegated_pb2
from services.registry.delegation.store import end_mandates, list_newest
from services.registry.documents.receipts import read_receipts
from services.registry.log.transparency_log import TransparencyLog
from services.registry.messages import request_event_message
from services.registry.model.log_entries import requested_openings
from services.registry.model.resource_names import check_name
from services.runtime.access import Role
from services.runtime.clock import Clock, to_timestamp
from services.runtime.errors import InvalidArgument, PermissionDenied
from services.runtime.server import Call
from services.runtime.storage.database import Database


class MandateServicer:
    """The contract's MandateService."""

    def __init__(self, database: Database, transparency_log: TransparencyLog, clock: Clock) -> None:
        self._database = database
        self._log = transparency_log
        self._clock = clock

    async def EndMandates(
        self, request: delegated_pb2.EndMandatesRequest, call: Call
    ) -> delegated_pb2.EndMandatesResponse:
        public_service = check_name(request.public_service, "publicServices", "public_service")
        provider = request.provider and check_name(request.provider, "subjects", "provider")
        if call.caller.has(Role.ROLE_OFFICER):
            provider = provider or call.caller.organization
            if provider != call.caller.organization:
                raise PermissionDenied
        if not provider:
            raise InvalidArgument("provider", "is required")
        ends = self._clock()

        async def end(connection: AsyncConnection) -> delegated_pb2.EndMandatesResponse:
            until = await end_mandates(connection, provider, public_service, ends)
            return delegated_pb2.EndMandatesResponse(end_time=to_timestamp(until))

        return await self._database.run(end)

    async def ListRequestEvents(
        self, request: delegated_pb2.ListRequestEventsRequest, call: Call
    ) -> delegated_pb2.ListRequestEventsResponse:
        subject = request.subject and check_name(request.subject, "subjects", "subject")
        if not call.caller.has(Role.ROLE_AUDITOR):
            if subject not in ("", call.caller.subject):
                raise PermissionDenied
            subject = call.caller.subject
        page = call.page(request, subject)
        async with self._database.reading() as connection:
            found = await list_newest(
                connection,
                subject,
                before=int(page.after) if page.after else None,
                limit=page.limit,
            )
            shown, next_page_token = page.cut(found, key=lambda each: str(each.log_index))
            receipts = await read_receipts(
                connection,
                self._log,
                [(each.log_index, requested_openings(each)) for each in shown],
            )
        return delegated_pb2.ListRequestEventsResponse(
            events=[
                request_event_message(each, receipt)
                for each, receipt in zip(shown, receipts, strict=True)
            ],
            next_page_token=next_page_token,
        )
