"""The SQL of identity's events, as the log has them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Row, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.registry.log.store import Rows
from services.registry.model.identity_events import (
    IdentityEvent,
    IdentityEventBasis,
    IdentityEventKind,
)
from services.registry.model.log_entries import SALT_BYTES
from services.registry.tables import identity_events


async def get_last_number(connection: AsyncConnection) -> int:
    """Return the number of the newest event that the log has, 0 if it has none."""
    return (await connection.execute(select(func.max(identity_events.c.number)))).scalar() or 0


async def list_newest(
    connection: AsyncConnection, subject: str, *, before: int | None, limit: int
) -> list[IdentityEvent]:
    """Return the subject's events, newest first, those before a number if one is given."""
    statement = (
        select(identity_events)
        .where(identity_events.c.subject == subject)
        .order_by(identity_events.c.number.desc())
        .limit(limit)
    )
    if before is not None:
        statement = statement.where(identity_events.c.number < before)
    return [_event_of(row) for row in await connection.execute(statement)]


async def list_in_order(
    connection: AsyncConnection, *, after: int, limit: int
) -> list[IdentityEvent]:
    """Return the events behind a number, in order."""
    statement = (
        select(identity_events)
        .where(identity_events.c.number > after)
        .order_by(identity_events.c.number)
        .limit(limit)
    )
    return [_event_of(row) for row in await connection.execute(statement)]


async def find_by_fingerprints(
    connection: AsyncConnection, fingerprints: Collection[bytes]
) -> list[IdentityEvent]:
    """Return the events of these certificates, in order."""
    statement = (
        select(identity_events)
        .where(identity_events.c.fingerprint.in_(fingerprints))
        .order_by(identity_events.c.number)
    )
    return [_event_of(row) for row in await connection.execute(statement)]


def event_rows(events: Sequence[IdentityEvent]) -> Rows:
    """Return the rows of events whose entries are those of their submission, in order."""
    rows = [
        {
            "number": event.number,
            "kind": int(event.kind),
            "basis": int(event.basis),
            "time": event.time,
            "subject": event.subject,
            "organization": event.organization,
            "fingerprint": event.fingerprint,
            "role": event.role,
            "officers": list(event.officers),
            "salts": b"".join(event.salts),
            "log_index": position,
        }
        for position, event in enumerate(events)
    ]
    return Rows(identity_events, rows, "log_index")


def _event_of(row: Row[Any]) -> IdentityEvent:
    salts = bytes(row.salts)
    return IdentityEvent(
        number=row.number,
        kind=IdentityEventKind(row.kind),
        basis=IdentityEventBasis(row.basis),
        time=row.time,
        subject=row.subject,
        organization=row.organization,
        fingerprint=bytes(row.fingerprint),
        role=row.role,
        officers=tuple(row.officers),
        salts=tuple(salts[at : at + SALT_BYTES] for at in range(0, len(salts), SALT_BYTES)),
        log_index=row.log_index,
    )
