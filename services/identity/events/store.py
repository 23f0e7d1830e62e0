"""Events and their readers in the database."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Select, delete, insert, literal, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.identity.events.event import (
    SALT_BYTES,
    Happening,
    IdentityEvent,
    IdentityEventBasis,
    IdentityEventKind,
    IdentityRecord,
)
from services.identity.events.notice import (
    NumberedNotice,
    PhoneNotice,
    PhoneNoticeKind,
    Recipient,
)
from services.identity.store import insert_row
from services.identity.tables import (
    certificates,
    ended_memberships,
    event_readers,
    identity_events,
    last_event,
    last_phone_notice,
    memberships,
    phone_notices,
)


async def add_event(
    connection: AsyncConnection, happening: Happening, *, time: datetime, salts: Sequence[bytes]
) -> int:
    """Insert an event in the transaction of its act; return its number.

    Numbers rise by one in the order in which transactions commit: the row of the last one is locked
    until then.
    """
    query = select(last_event.c.number).with_for_update()
    number: int = (await connection.execute(query)).scalar_one() + 1
    await connection.execute(update(last_event).values(number=number))
    await connection.execute(
        insert(identity_events).values(
            number=number,
            kind=int(happening.kind),
            basis=int(happening.basis),
            time=time,
            subject=happening.subject,
            organization=happening.organization,
            fingerprint=happening.fingerprint,
            role=happening.role,
            officers=json.dumps(happening.officers),
            salts=b"".join(salts),
        )
    )
    return number


async def read_events(
    connection: AsyncConnection, *, after: int, limit: int
) -> list[IdentityEvent]:
    """Return the events behind a number, in order."""
    columns = identity_events.c
    query = select(identity_events).where(columns.number > after).order_by(columns.number)
    return [_event(row) for row in await connection.execute(query.limit(limit))]


async def get_last_number(connection: AsyncConnection) -> int:
    """Return the number of the newest event, 0 if there is none."""
    number: int = (await connection.execute(select(last_event.c.number))).scalar_one()
    return number


async def get_place(connection: AsyncConnection, reader: str) -> int | None:
    """Return the number up to which the reader keeps events, or None if it never said so."""
    query = select(event_readers.c.through).where(event_readers.c.reader == reader)
    through: int | None = (await connection.execute(query)).scalar_one_or_none()
    return through


async def advance_place(connection: AsyncConnection, reader: str, through: int) -> None:
    """Keep that the reader keeps events up to a number; its place never goes back."""
    present = await get_place(connection, reader)
    if present is None:
        await insert_row(connection, event_readers, {"reader": reader, "through": through})
    else:
        await connection.execute(
            update(event_readers)
            .where(event_readers.c.reader == reader, event_readers.c.through < through)
            .values(through=through)
        )


async def get_oldest_unread(connection: AsyncConnection, reader: str) -> datetime | None:
    """Return the time of the oldest event that the reader lacks; None if it has all, or never read
    any."""
    through = await get_place(connection, reader)
    return None if through is None else await get_time_behind(connection, through)


async def get_time_behind(connection: AsyncConnection, number: int) -> datetime | None:
    """Return the time of the first event behind a number; None if there is none behind."""
    columns = identity_events.c
    query = select(columns.time).where(columns.number > number).order_by(columns.number).limit(1)
    time: datetime | None = (await connection.execute(query)).scalar_one_or_none()
    return time


# Notices about phones


async def add_notice(connection: AsyncConnection, notice: PhoneNotice, *, time: datetime) -> None:
    """Insert a notice in the transaction of its act; it is numbered as an event is."""
    query = select(last_phone_notice.c.number).with_for_update()
    number: int = (await connection.execute(query)).scalar_one() + 1
    await connection.execute(update(last_phone_notice).values(number=number))
    recipients = [[each.phone, each.language] for each in notice.recipients]
    await connection.execute(
        insert(phone_notices).values(
            number=number,
            kind=int(notice.kind),
            time=time,
            phone=notice.phone,
            recipients=json.dumps(recipients),
        )
    )


async def read_notices(
    connection: AsyncConnection, *, after: int, limit: int
) -> list[NumberedNotice]:
    """Return the notices behind a number that are not acknowledged, in order."""
    columns = phone_notices.c
    query = select(phone_notices).where(columns.number > after).order_by(columns.number)
    return [_notice(row) for row in await connection.execute(query.limit(limit))]


async def get_last_notice(connection: AsyncConnection) -> int:
    """Return the number of the newest notice there was, 0 if there was none."""
    number: int = (await connection.execute(select(last_phone_notice.c.number))).scalar_one()
    return number


async def delete_notices(connection: AsyncConnection, through: int) -> None:
    """Delete the notices up to a number."""
    await connection.execute(delete(phone_notices).where(phone_notices.c.number <= through))


def _notice(row: Row[Any]) -> NumberedNotice:
    recipients = tuple(Recipient(*pair) for pair in json.loads(row.recipients))
    notice = PhoneNotice(PhoneNoticeKind(row.kind), row.phone, recipients)
    return NumberedNotice(row.number, row.time, notice)


# Records


async def list_records(
    connection: AsyncConnection, *, after: str, limit: int
) -> list[IdentityRecord]:
    """Return every certificate, every membership that began, and every one that ended, in the order
    of their keys, behind the key `after`."""
    found: list[IdentityRecord] = []
    for kind, query in enumerate(_record_queries(after)):
        if len(found) < limit and query is not None:
            rows = await connection.execute(query.limit(limit - len(found)))
            found += [_record(kind, row) for row in rows]
    return found


# A key: which of the three, and the row's own, with this between its parts.
_BETWEEN = "|"


def _record_queries(after: str) -> list[Select[Any] | None]:
    """Return the three queries; None for those whose rows all stand before the key."""
    kind, *place = after.split(_BETWEEN) if after else ("0",)
    columns = certificates.c
    issued = select(
        columns.fingerprint,
        columns.subject,
        columns.service,
        columns.organization,
        columns.create_time,
        columns.revoke_time.label("end_time"),
    ).order_by(columns.fingerprint)
    current = (
        select(memberships)
        .where(memberships.c.begin_time.is_not(None))
        .order_by(memberships.c.organization, memberships.c.person)
    )
    ended = select(ended_memberships).order_by(
        ended_memberships.c.organization,
        ended_memberships.c.person,
        ended_memberships.c.remove_time,
    )
    match kind:
        case "0" if place:
            issued = issued.where(columns.fingerprint > place[0])
        case "1":
            key = tuple_(memberships.c.organization, memberships.c.person)
            return [None, current.where(key > _literals(place)), ended]
        case "2":
            table = ended_memberships.c
            key = tuple_(table.organization, table.person)
            same = (table.organization == place[0]) & (table.person == place[1])
            later = same & (table.remove_time > datetime.fromisoformat(place[2]))
            return [None, None, ended.where((key > _literals(place[:2])) | later)]
    return [issued, current, ended]


def _literals(values: Sequence[str]) -> Any:
    return tuple_(*(literal(value) for value in values))


def _record(kind: int, row: Row[Any]) -> IdentityRecord:
    if kind == 0:
        return IdentityRecord(
            key=_BETWEEN.join(("0", row.fingerprint)),
            subject=row.subject or f"services/{row.service}",
            organization=row.organization,
            fingerprint=bytes.fromhex(row.fingerprint),
            role=0,
            create_time=row.create_time,
            end_time=row.end_time,
        )
    end = row.remove_time if kind == 2 else None
    parts = (str(kind), row.organization, row.person, *([end.isoformat()] if end else []))
    return IdentityRecord(
        key=_BETWEEN.join(parts),
        subject=row.person,
        organization=row.organization,
        fingerprint=b"",
        role=row.role,
        create_time=row.create_time,
        end_time=end,
    )


def _event(row: Row[Any]) -> IdentityEvent:
    salts = row.salts
    return IdentityEvent(
        number=row.number,
        time=row.time,
        happening=Happening(
            kind=IdentityEventKind(row.kind),
            basis=IdentityEventBasis(row.basis),
            subject=row.subject,
            organization=row.organization,
            fingerprint=row.fingerprint,
            role=row.role,
            officers=tuple(json.loads(row.officers)),
        ),
        salts=tuple(salts[at : at + SALT_BYTES] for at in range(0, len(salts), SALT_BYTES)),
    )
