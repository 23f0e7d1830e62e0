"""The SQL of consent requests."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Row, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.registry.model.consent_requests import ConsentRequest, ConsentRequestState
from services.registry.tables import consent_requests

_WAITING = int(ConsentRequestState.WAITING)


async def insert_request(connection: AsyncConnection, request: ConsentRequest) -> None:
    """Store a new request."""
    await connection.execute(
        insert(consent_requests).values(
            name=request.name,
            organization=request.organization,
            subject=request.subject or None,
            document_type=request.document_type,
            purpose=request.purpose,
            purpose_text=request.purpose_text,
            create_time=request.create_time,
            expire_time=request.expire_time,
            state=int(request.stored_state),
        )
    )


async def find_request(connection: AsyncConnection, name: str) -> ConsentRequest | None:
    """Return the request of that name, or None."""
    statement = select(consent_requests).where(consent_requests.c.name == name)
    row = (await connection.execute(statement)).one_or_none()
    return None if row is None else _request_of(row)


async def count_since(
    connection: AsyncConnection, since: datetime, organization: str, subject: str = ""
) -> int:
    """Return how many requests the organization made since then, to one person if one is named."""
    statement = select(func.count()).where(
        consent_requests.c.organization == organization, consent_requests.c.create_time > since
    )
    if subject:
        statement = statement.where(consent_requests.c.subject == subject)
    return (await connection.execute(statement)).scalar_one()


async def list_of_organization(
    connection: AsyncConnection, organization: str, *, before: str, limit: int
) -> list[ConsentRequest]:
    """Return the organization's requests, newest first, after the one named."""
    return await _newest(
        connection, consent_requests.c.organization == organization, before=before, limit=limit
    )


async def list_waiting_for(
    connection: AsyncConnection, subject: str, since: datetime, *, before: str, limit: int
) -> list[ConsentRequest]:
    """Return the requests made since then that wait for the person, newest first, after the one
    named."""
    condition = (
        (consent_requests.c.subject == subject)
        & (consent_requests.c.state == _WAITING)
        & (consent_requests.c.create_time > since)
    )
    return await _newest(connection, condition, before=before, limit=limit)


async def list_waiting(
    connection: AsyncConnection, since: datetime, *, after: str, limit: int
) -> list[ConsentRequest]:
    """Return the requests made since then that wait for somebody, by name, behind the one named."""
    statement = (
        select(consent_requests)
        .where(
            consent_requests.c.name > after,
            consent_requests.c.subject.is_not(None),
            consent_requests.c.state == _WAITING,
            consent_requests.c.create_time > since,
        )
        .order_by(consent_requests.c.name)
        .limit(limit)
    )
    return [_request_of(row) for row in await connection.execute(statement)]


async def answer(
    connection: AsyncConnection, name: str, state: ConsentRequestState, consent: str = ""
) -> bool:
    """Store the answer to a request; return False if it was answered before."""
    changed = await connection.execute(
        update(consent_requests)
        .where(consent_requests.c.name == name, consent_requests.c.state == _WAITING)
        .values(state=int(state), consent=consent or None)
    )
    return changed.rowcount == 1


async def _newest(
    connection: AsyncConnection, condition: Any, *, before: str, limit: int
) -> list[ConsentRequest]:
    statement = (
        select(consent_requests)
        .where(condition)
        .order_by(consent_requests.c.name.desc())
        .limit(limit)
    )
    if before:
        statement = statement.where(consent_requests.c.name < before)
    return [_request_of(row) for row in await connection.execute(statement)]


def _request_of(row: Row[Any]) -> ConsentRequest:
    return ConsentRequest(
        name=row.name,
        organization=row.organization,
        subject=row.subject or "",
        document_type=row.document_type,
        purpose=row.purpose,
        purpose_text=row.purpose_text,
        create_time=row.create_time,
        expire_time=row.expire_time,
        stored_state=ConsentRequestState(row.state),
        consent=row.consent or "",
    )
