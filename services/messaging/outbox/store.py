"""All SQL of the outbox: messages, the parts that the network took, receipts before their part."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import and_, delete, exists, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.messaging.outbox.rules import (
    DuePart,
    Message,
    MessagePriority,
    MessageState,
    NewMessage,
)
from services.messaging.sms.receipts import Outcome
from services.messaging.tables import early_receipts, messages, taken_parts
from services.runtime.sealing import Sealed

_columns = messages.c


async def insert_message(connection: AsyncConnection, new: NewMessage, reference: int) -> None:
    """Store a message, queued."""
    await connection.execute(
        insert(messages).values(
            id=new.id,
            service=new.service,
            state=MessageState.QUEUED,
            priority=new.priority,
            rank=new.priority,
            phone_hash=new.phone_hash,
            key_id=new.sealed.key_id,
            sealed=new.sealed.data,
            source=new.source,
            reference=reference,
            parts=new.parts,
            sent_parts=0,
            is_handed_over=False,
            maybe_twice=False,
            create_time=new.create_time,
            expire_time=new.expire_time,
            next_try_time=new.create_time,
            erase_time=new.erase_time,
        )
    )


async def next_reference(connection: AsyncConnection, phone_hash: bytes) -> int:
    """Return the concatenation reference after that of the number's last message, modulo 256."""
    statement = (
        select(_columns.reference)
        .where(_columns.phone_hash == phone_hash)
        .order_by(_columns.number.desc())
        .limit(1)
    )
    last = (await connection.execute(statement)).scalar_one_or_none()
    return 0 if last is None else (last + 1) % 256


async def sent_since(
    connection: AsyncConnection, phone_hash: bytes, priority: MessagePriority, since: datetime
) -> list[datetime]:
    """Return when the number's messages of a priority were stored, oldest first."""
    statement = (
        select(_columns.create_time)
        .where(
            _columns.phone_hash == phone_hash,
            _columns.priority == priority,
            _columns.create_time > since,
        )
        .order_by(_columns.create_time)
    )
    return list((await connection.execute(statement)).scalars())


async def find_message(connection: AsyncConnection, message_id: str) -> Message | None:
    """Return the message with this id, or None."""
    row = (await connection.execute(select(messages).where(_columns.id == message_id))).first()
    if row is None:
        return None
    return Message(
        row.id,
        row.service,
        MessageState(row.state),
        row.create_time,
        row.parts,
        row.maybe_twice,
        row.send_time,
        row.deliver_time,
    )


async def free_handed_over(
    connection: AsyncConnection, numbers: Sequence[int] | None = None
) -> None:
    """Queue again what was handed over and never answered, and say that it may go twice; of these
    messages, or of all."""
    statement = update(messages).where(_columns.is_handed_over)
    if numbers is not None:
        statement = statement.where(_columns.number.in_(numbers))
    await connection.execute(statement.values(is_handed_over=False, maybe_twice=True))


async def put_back(connection: AsyncConnection, numbers: Sequence[int], next_try: datetime) -> None:
    """Queue again what the network did not take; not before next_try."""
    await connection.execute(
        update(messages)
        .where(_columns.number.in_(numbers))
        .values(is_handed_over=False, next_try_time=next_try)
    )


async def take_due(connection: AsyncConnection, now: datetime, limit: int) -> list[DuePart]:
    """Mark the next part of up to `limit` messages as handed over, and return them.

    At most one of each number: the first by rank and order. While it is with the network, or waits
    for its next try, the number's others wait.
    """
    other = messages.alias()
    is_before = or_(
        other.c.is_handed_over,
        other.c.rank < _columns.rank,
        and_(other.c.rank == _columns.rank, other.c.number < _columns.number),
    )
    statement = (
        select(messages)
        .where(
            _columns.state == MessageState.QUEUED,
            ~_columns.is_handed_over,
            _columns.next_try_time <= now,
            _columns.expire_time > now,
            ~exists().where(
                other.c.phone_hash == _columns.phone_hash,
                other.c.state == MessageState.QUEUED,
                other.c.number != _columns.number,
                or_(other.c.expire_time > now, other.c.is_handed_over),
                is_before,
            ),
        )
        .order_by(_columns.rank, _columns.number)
        .limit(limit)
    )
    rows = list(await connection.execute(statement))
    if rows:
        await connection.execute(
            update(messages)
            .where(_columns.number.in_([row.number for row in rows]))
            .values(is_handed_over=True)
        )
    return [
        DuePart(
            row.number,
            row.id,
            Sealed(row.key_id, bytes(row.sealed)),
            row.source,
            row.reference,
            row.sent_parts,
            row.expire_time,
        )
        for row in rows
    ]


async def next_try_after(connection: AsyncConnection, now: datetime) -> datetime | None:
    """Return when the next of the messages that wait may be tried, or None."""
    statement = select(func.min(_columns.next_try_time)).where(
        _columns.state == MessageState.QUEUED,
        ~_columns.is_handed_over,
        _columns.next_try_time > now,
    )
    moment: datetime | None = (await connection.execute(statement)).scalar_one_or_none()
    return moment


async def record_taken(
    connection: AsyncConnection, number: int, network_id: str, now: datetime
) -> None:
    """Record that the network took a message's next part, and what an early receipt says of it."""
    row = (
        await connection.execute(
            select(messages).where(_columns.number == number).with_for_update()
        )
    ).first()
    if row is None or not row.is_handed_over:
        return
    early = early_receipts.c
    receipts = list(
        await connection.execute(
            select(early_receipts).where(
                early.network_id == network_id, early.phone_hash == row.phone_hash
            )
        )
    )
    await connection.execute(
        insert(taken_parts).values(
            message=number,
            part=row.sent_parts,
            network_id=network_id,
            outcome=receipts[-1].outcome if receipts else None,
        )
    )
    if receipts:
        await connection.execute(
            delete(early_receipts).where(early.number.in_([each.number for each in receipts]))
        )
    values: dict[str, object] = {
        "is_handed_over": False,
        "sent_parts": row.sent_parts + 1,
        "rank": 0,
    }
    if row.sent_parts + 1 == row.parts and row.state == MessageState.QUEUED:
        values |= {"state": MessageState.SENT, "send_time": now}
    await connection.execute(update(messages).where(_columns.number == number).values(values))


async def record_receipt(
    connection: AsyncConnection,
    network_ids: Sequence[str],
    phone_hash: bytes,
    outcome: Outcome,
    now: datetime,
) -> int | None:
    """Record what became of a part; return its message, or None if no part is known by any of the
    ids. Then the receipt is kept under each of them, for the answer that may follow."""
    parts = taken_parts.c
    known = (
        select(parts.number, parts.message, parts.network_id)
        .join(messages, _columns.number == parts.message)
        .where(parts.network_id.in_(network_ids), _columns.phone_hash == phone_hash)
    )
    found = {row.network_id: row for row in await connection.execute(known)}
    for network_id in network_ids:
        if network_id in found:
            part = found[network_id]
            await connection.execute(
                update(taken_parts).where(parts.number == part.number).values(outcome=outcome.value)
            )
            return int(part.message)
    await connection.execute(
        insert(early_receipts),
        [
            {
                "network_id": network_id,
                "phone_hash": phone_hash,
                "outcome": outcome.value,
                "receive_time": now,
            }
            for network_id in network_ids
        ],
    )
    return None


async def settle(connection: AsyncConnection, number: int, now: datetime, keep: timedelta) -> None:
    """Set the state that the receipts of a message's parts give it, unless it has ended."""
    row = (
        await connection.execute(
            select(messages).where(_columns.number == number).with_for_update()
        )
    ).first()
    if row is None or row.state not in (MessageState.QUEUED, MessageState.SENT):
        return
    parts = taken_parts.c
    outcomes = list(
        await connection.execute(select(parts.part, parts.outcome).where(parts.message == number))
    )
    values = {each.outcome for each in outcomes}
    delivered = {each.part for each in outcomes if each.outcome == Outcome.DELIVERED.value}
    if Outcome.UNDELIVERABLE.value in values:
        await end(connection, [number], MessageState.UNDELIVERABLE, now + keep)
    elif Outcome.EXPIRED.value in values:
        await end(connection, [number], MessageState.EXPIRED, now + keep)
    elif len(delivered) == row.parts:
        await end(connection, [number], MessageState.DELIVERED, now + keep, deliver_time=now)


async def end(
    connection: AsyncConnection,
    numbers: Sequence[int],
    state: MessageState,
    erase_time: datetime,
    *,
    deliver_time: datetime | None = None,
) -> None:
    """End messages in a state, to be erased then."""
    await connection.execute(
        update(messages)
        .where(_columns.number.in_(numbers))
        .values(state=state, is_handed_over=False, erase_time=erase_time, deliver_time=deliver_time)
    )


async def expire(connection: AsyncConnection, now: datetime, erase_time: datetime) -> int:
    """End what is queued, not with the network, and past its time; return how many there were."""
    done = await connection.execute(
        update(messages)
        .where(
            _columns.state == MessageState.QUEUED,
            ~_columns.is_handed_over,
            _columns.expire_time <= now,
        )
        .values(state=MessageState.EXPIRED, erase_time=erase_time)
    )
    return int(done.rowcount)


async def erase(connection: AsyncConnection, now: datetime, receipts_before: datetime) -> int:
    """Delete messages whose time to be erased has come, and receipts that nothing was known of;
    return how many messages there were."""
    await connection.execute(
        delete(early_receipts).where(early_receipts.c.receive_time < receipts_before)
    )
    done = await connection.execute(delete(messages).where(_columns.erase_time <= now))
    return int(done.rowcount)


async def key_ids_in_use(connection: AsyncConnection) -> set[str]:
    """Return the ids of the message keys that messages are sealed under."""
    return set((await connection.execute(select(_columns.key_id).distinct())).scalars())
