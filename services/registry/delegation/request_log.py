"""Changes of requests on their way into the log.

A change that rests on the applicant's signature is taken only once the statement was verified here:
what is counted from the log was asked for by somebody.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy.ext.asyncio import AsyncConnection

from services.registry.delegation import store
from services.registry.delegation.verification import Delegation
from services.registry.log.group_commit import Conflict
from services.registry.log.sequencer import Sequencer
from services.registry.log.transparency_log import encode_entry
from services.registry.model.log_entries import SALT_BYTES, requested_entry
from services.registry.model.request_events import UNSIGNED_STATES, RequestEvent, state_of
from services.runtime.clock import Clock, Randomness
from services.runtime.errors import (
    AlreadyExists,
    FailedPrecondition,
    InvalidArgument,
    PermissionDenied,
    Unavailable,
)
from services.runtime.storage.database import Database


class RequestLog:
    """Appends changes of requests to the log."""

    def __init__(
        self, database: Database, sequencer: Sequencer, clock: Clock, randomness: Randomness
    ) -> None:
        self._database = database
        self._sequencer = sequencer
        self._clock = clock
        self._randomness = randomness

    async def append(
        self,
        *,
        request: str,
        public_service: str,
        applicant: str,
        number: int,
        change: bytes,
        delegation: Delegation | None,
    ) -> RequestEvent:
        """Return the change as the log has it, now or since an earlier call.

        delegation: verified; None where the change rests on none, or on one that was accepted.
        Raises InvalidArgument, AlreadyExists, FailedPrecondition and PermissionDenied as
        AppendRequestEvent does.
        """
        state = state_of(change)
        if delegation is not None and (
            delegation.statement.request != request
            or delegation.statement.public_service != public_service
            or delegation.statement.applicant != applicant
        ):
            raise PermissionDenied
        event = RequestEvent(
            request=request,
            public_service=public_service,
            applicant=applicant,
            number=number,
            change=change,
            time=self._clock(),
            entry_salt=self._randomness(SALT_BYTES),
        )
        async with self._database.reading() as connection:
            kept = await store.find_event(connection, request, number)
        if kept is not None:
            return _same(kept, event)

        async def check(connection: AsyncConnection, _indexes: Sequence[int]) -> None:
            await self._check(connection, event, state, delegation)

        try:
            committed = await self._sequencer.submit(
                [encode_entry(requested_entry(event))], check, rows=[store.event_rows(event)]
            )
        except Conflict:
            async with self._database.reading() as connection:
                kept = await store.find_event(connection, request, number)
            if kept is None:
                raise Unavailable("the change could not be stored; retry") from None
            return _same(kept, event)
        return replace(event, log_index=committed.indexes[0])

    async def _check(
        self,
        connection: AsyncConnection,
        event: RequestEvent,
        state: str,
        delegation: Delegation | None,
    ) -> None:
        """Check what the change rests on, in its own transaction, which has its row already."""
        if delegation is not None:
            await store.check_not_ended(connection, delegation.mandate)
            await store.accept_statement(
                connection, delegation.statement, delegation.statement_sha256, event.time
            )
        accepted = await store.find_statement(connection, event.request)
        if accepted is None and state not in UNSIGNED_STATES:
            raise FailedPrecondition("NOT_SIGNED", f"{state} needs the applicant's statement")
        if accepted is not None and (
            accepted.applicant != event.applicant or accepted.public_service != event.public_service
        ):
            raise PermissionDenied
        if event.number == 1:
            return
        before = await store.find_event(connection, event.request, event.number - 1)
        if before is None:
            raise InvalidArgument("number", "the change before it is not in the log")
        if before.applicant != event.applicant or before.public_service != event.public_service:
            raise PermissionDenied


def _same(kept: RequestEvent, event: RequestEvent) -> RequestEvent:
    """Return the kept change, if it is the one that is asked for. Raises AlreadyExists."""
    asked = replace(event, time=kept.time, entry_salt=kept.entry_salt, log_index=kept.log_index)
    if asked != kept:
        raise AlreadyExists("the number was used for another change", "number")
    return kept
