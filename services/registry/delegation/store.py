"""The SQL of acts on behalf: ended mandates, requests' statements, and requests' changes."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Row, delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from qagazsyz.request_texts import Mandate, RequestStatement
from services.registry.log.store import Rows
from services.registry.model.request_events import RequestEvent
from services.registry.tables import mandate_ends, request_events, request_statements
from services.runtime.errors import FailedPrecondition, PermissionDenied

# --- Mandates ----------------------------------------------------------------


async def check_not_ended(connection: AsyncConnection, mandate: Mandate) -> None:
    """Raise PermissionDenied if the mandate was ended."""
    ended = await _find_end(connection, mandate.provider, mandate.public_service)
    if ended is not None and mandate.time <= ended:
        raise PermissionDenied


async def end_mandates(
    connection: AsyncConnection, provider: str, public_service: str, now: datetime
) -> datetime:
    """End the provider's mandates of the service up to now; return until when they have ended."""
    ended = await _find_end(connection, provider, public_service)
    # A replica whose clock is behind takes nothing back.
    until = now if ended is None else max(now, ended)
    await connection.execute(
        delete(mandate_ends).where(
            mandate_ends.c.provider == provider, mandate_ends.c.public_service == public_service
        )
    )
    await connection.execute(
        insert(mandate_ends).values(
            provider=provider, public_service=public_service, end_time=until
        )
    )
    return until


async def _find_end(
    connection: AsyncConnection, provider: str, public_service: str
) -> datetime | None:
    statement = select(mandate_ends.c.end_time).where(
        mandate_ends.c.provider == provider, mandate_ends.c.public_service == public_service
    )
    return (await connection.execute(statement)).scalar()


# --- Statements --------------------------------------------------------------


async def find_statement(connection: AsyncConnection, request: str) -> Row[Any] | None:
    """Return the row of the statement that a request rests on, or None."""
    statement = select(request_statements).where(request_statements.c.request == request)
    return (await connection.execute(statement)).one_or_none()


async def accept_statement(
    connection: AsyncConnection, statement: RequestStatement, statement_sha256: bytes, now: datetime
) -> None:
    """Keep the statement that the request rests on from now on. Raises FailedPrecondition if it
    rests on another."""
    accepted = await find_statement(connection, statement.request)
    if accepted is None:
        await connection.execute(
            insert(request_statements).values(
                request=statement.request,
                statement_sha256=statement_sha256,
                applicant=statement.applicant,
                public_service=statement.public_service,
                accept_time=now,
            )
        )
    elif bytes(accepted.statement_sha256) != statement_sha256:
        raise FailedPrecondition("STATEMENT_USED", "the request rests on another statement")


# --- Changes of requests -----------------------------------------------------


async def find_event(connection: AsyncConnection, request: str, number: int) -> RequestEvent | None:
    """Return the change of that number, or None."""
    statement = select(request_events).where(
        request_events.c.request == request, request_events.c.number == number
    )
    row = (await connection.execute(statement)).one_or_none()
    return None if row is None else _event_of(row)


async def list_newest(
    connection: AsyncConnection, applicant: str, *, before: int | None, limit: int
) -> list[RequestEvent]:
    """Return changes, newest first: those of a person's requests if one is named, and those before
    a log index if one is given."""
    statement = select(request_events).order_by(request_events.c.log_index.desc()).limit(limit)
    if applicant:
        statement = statement.where(request_events.c.applicant == applicant)
    if before is not None:
        statement = statement.where(request_events.c.log_index < before)
    return [_event_of(row) for row in await connection.execute(statement)]


async def list_in_order(
    connection: AsyncConnection, *, after: int, limit: int
) -> list[RequestEvent]:
    """Return the changes behind a log index, in the log's order."""
    statement = (
        select(request_events)
        .where(request_events.c.log_index > after)
        .order_by(request_events.c.log_index)
        .limit(limit)
    )
    return [_event_of(row) for row in await connection.execute(statement)]


def event_rows(event: RequestEvent) -> Rows:
    """Return the row of a change. Its entry is the first of its submission."""
    row = {
        "request": event.request,
        "number": event.number,
        "public_service": event.public_service,
        "applicant": event.applicant,
        "change": event.change,
        "time": event.time,
        "entry_salt": event.entry_salt,
        "log_index": 0,
    }
    return Rows(request_events, [row], "log_index")


def _event_of(row: Row[Any]) -> RequestEvent:
    return RequestEvent(
        request=row.request,
        public_service=row.public_service,
        applicant=row.applicant,
        number=row.number,
        change=bytes(row.change),
        time=row.time,
        entry_salt=bytes(row.entry_salt),
        log_index=row.log_index,
    )
