"""All SQL of the inbox: parts until their message is whole, messages, and their leases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import delete, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.messaging.inbox.rules import Inbox, NewReceived, Received
from services.messaging.tables import received_messages, received_parts
from services.runtime.sealing import Sealed

_parts = received_parts.c
_columns = received_messages.c


async def is_known_part(connection: AsyncConnection, digest: bytes, since: datetime) -> bool:
    """Return whether the same part came since then."""
    statement = (
        select(_parts.number).where(_parts.digest == digest, _parts.receive_time > since).limit(1)
    )
    return (await connection.execute(statement)).first() is not None


async def insert_part(
    connection: AsyncConnection,
    *,
    digest: bytes,
    group_hash: bytes,
    part: int,
    sealed: Sealed,
    now: datetime,
) -> None:
    """Store a part, in place of an older one at its place of the same unfinished message."""
    await connection.execute(
        delete(received_parts).where(
            _parts.group_hash == group_hash, _parts.part == part, _parts.sealed.is_not(None)
        )
    )
    await connection.execute(
        insert(received_parts).values(
            digest=digest,
            group_hash=group_hash,
            part=part,
            key_id=sealed.key_id,
            sealed=sealed.data,
            receive_time=now,
        )
    )


async def find_parts(
    connection: AsyncConnection, group_hash: bytes, since: datetime
) -> Mapping[int, Sealed]:
    """Return the parts of an unfinished message that came since then, by their place from 1."""
    statement = (
        select(received_parts)
        .where(
            _parts.group_hash == group_hash,
            _parts.sealed.is_not(None),
            _parts.receive_time > since,
        )
        .order_by(_parts.part)
    )
    return {
        row.part: Sealed(row.key_id, bytes(row.sealed))
        for row in await connection.execute(statement)
    }


async def empty_parts(connection: AsyncConnection, group_hash: bytes) -> None:
    """Erase the contents of the parts of a message that is whole."""
    await connection.execute(
        update(received_parts)
        .where(_parts.group_hash == group_hash)
        .values(key_id=None, sealed=None)
    )


async def is_known_message(connection: AsyncConnection, digest: bytes, since: datetime) -> bool:
    """Return whether the same message came since then."""
    statement = (
        select(_columns.number)
        .where(_columns.digest == digest, _columns.receive_time > since)
        .limit(1)
    )
    return (await connection.execute(statement)).first() is not None


async def insert_message(connection: AsyncConnection, new: NewReceived) -> None:
    """Store a message for its readers."""
    await connection.execute(
        insert(received_messages).values(
            id=new.id,
            inbox=new.inbox,
            digest=new.digest,
            key_id=new.sealed.key_id,
            sealed=new.sealed.data,
            destination=new.destination,
            receive_time=new.receive_time,
        )
    )


async def lease(
    connection: AsyncConnection,
    inbox: Inbox,
    reader: str,
    *,
    now: datetime,
    until: datetime,
    limit: int,
) -> list[Received]:
    """Lease the oldest messages that nobody reads now to a reader, and return them."""
    statement = (
        select(received_messages)
        .where(
            _columns.inbox == inbox,
            _columns.end_time.is_(None),
            or_(_columns.lease_end_time.is_(None), _columns.lease_end_time <= now),
        )
        .order_by(_columns.number)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    rows = list(await connection.execute(statement))
    if rows:
        await connection.execute(
            update(received_messages)
            .where(_columns.number.in_([row.number for row in rows]))
            .values(lease_end_time=until, reader=reader)
        )
    return [
        Received(
            row.number,
            row.id,
            Sealed(row.key_id, bytes(row.sealed)),
            row.destination,
            row.receive_time,
        )
        for row in rows
    ]


async def acknowledge(
    connection: AsyncConnection, inbox: Inbox, ids: Sequence[str], now: datetime
) -> None:
    """End the messages with these ids, if they are in the inbox."""
    await connection.execute(
        update(received_messages)
        .where(_columns.inbox == inbox, _columns.id.in_(ids), _columns.end_time.is_(None))
        .values(end_time=now, lease_end_time=None, reader=None)
    )


async def release(connection: AsyncConnection, reader: str) -> None:
    """Free what a reader has not acknowledged."""
    await connection.execute(
        update(received_messages)
        .where(_columns.reader == reader, _columns.end_time.is_(None))
        .values(lease_end_time=None, reader=None)
    )


async def erase(
    connection: AsyncConnection, *, ended_before: datetime, parts_before: datetime
) -> int:
    """Delete messages that ended and parts that came before then; return how many messages."""
    await connection.execute(delete(received_parts).where(_parts.receive_time < parts_before))
    done = await connection.execute(
        delete(received_messages).where(_columns.end_time < ended_before)
    )
    return int(done.rowcount)


async def key_ids_in_use(connection: AsyncConnection) -> set[str]:
    """Return the ids of the message keys that messages and parts are sealed under."""
    of_messages = await connection.execute(select(_columns.key_id).distinct())
    of_parts = await connection.execute(
        select(_parts.key_id).where(_parts.key_id.is_not(None)).distinct()
    )
    return {*of_messages.scalars(), *of_parts.scalars()}


async def leased_to(connection: AsyncConnection, reader: str, now: datetime) -> set[str]:
    """Return the ids of the messages that a reader has now."""
    statement = select(_columns.id).where(
        _columns.reader == reader, _columns.end_time.is_(None), _columns.lease_end_time > now
    )
    return set((await connection.execute(statement)).scalars())
