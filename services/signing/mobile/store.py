"""SQL of mobile signatures' sessions."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, and_, insert, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from services.runtime.sealing import Sealed
from services.signing.mobile.rules import (
    OPEN,
    End,
    MobileSignatureOutcome,
    MobileSignaturePurpose,
    MobileSignatureState,
    Past,
    Session,
    expiry_of,
)
from services.signing.tables import mobile_signatures, phone_notices

_columns = mobile_signatures.c
_OPEN = tuple(int(state) for state in OPEN)


class Taken(Exception):
    """A session of this subject, card or request was stored in this moment."""


async def insert_session(
    connection: AsyncConnection,
    session: Session,
    *,
    request_key: str | None,
    look_time: datetime | None,
) -> None:
    """Store an open session. Raises Taken."""
    assert session.sealed is not None  # noqa: S101 - it is erased after its end
    row = {
        "id": session.id,
        "request_key": request_key,
        "subject": session.subject,
        "requester": session.requester,
        "purpose": int(session.purpose),
        "state": int(session.state),
        "outcome": int(session.outcome),
        "revision": session.revision,
        "code": session.code,
        "nonce": session.nonce,
        "phone": session.phone,
        "sim": session.sim,
        "counter": session.counter,
        "open_subject": session.subject,
        "open_sim": session.sim or None,
        "wrapping_key_id": session.sealed.key_id,
        "sealed": session.sealed.data,
        "digest": session.digest,
        "message": session.message,
        "look_time": look_time,
        "create_time": session.create_time,
        "expire_time": session.expire_time,
        "is_erased": False,
    }
    try:
        async with connection.begin_nested():
            await connection.execute(insert(mobile_signatures).values(row))
    except IntegrityError:
        raise Taken from None


async def find_session(connection: AsyncConnection, session_id: str) -> Session | None:
    """Return the session of that id, or None."""
    return await _find(connection, _columns.id == session_id)


async def find_requested(connection: AsyncConnection, request_key: str) -> Session | None:
    """Return the session of that request, or None."""
    return await _find(connection, _columns.request_key == request_key)


async def _find(connection: AsyncConnection, condition: Any) -> Session | None:
    row = (await connection.execute(select(mobile_signatures).where(condition))).one_or_none()
    return None if row is None else _session(row)


async def find_open(connection: AsyncConnection, subject: str, sim: str) -> list[Session]:
    """Return the open sessions of a person, and of a card where it is not "", locked."""
    conditions = [_columns.open_subject == subject]
    if sim:
        conditions.append(_columns.open_sim == sim)
    query = select(mobile_signatures).where(or_(*conditions))
    query = query.order_by(_columns.id).with_for_update()
    return [_session(row) for row in await connection.execute(query)]


async def find_by_nonce(connection: AsyncConnection, nonce: bytes) -> Session | None:
    """Return the open session of that nonce, or None."""
    query = select(mobile_signatures).where(_columns.nonce == nonce, _columns.state.in_(_OPEN))
    row = (await connection.execute(query)).first()
    return None if row is None else _session(row)


async def find_by_counter(connection: AsyncConnection, counter: int, limit: int) -> list[Session]:
    """Return open sessions whose packet has that counter."""
    query = (
        select(mobile_signatures)
        .where(_columns.open_sim.is_not(None), _columns.counter == counter)
        .order_by(_columns.id)
        .limit(limit)
    )
    return [_session(row) for row in await connection.execute(query)]


async def list_sessions(
    connection: AsyncConnection, subject: str, before: str, limit: int
) -> list[Session]:
    """Return a person's sessions, newest first, before an id; from the newest on for ""."""
    query = select(mobile_signatures).where(_columns.subject == subject)
    if before:
        query = query.where(_columns.id < before)
    rows = await connection.execute(query.order_by(_columns.id.desc()).limit(limit))
    return [_session(row) for row in rows]


async def list_past(
    connection: AsyncConnection, subject: str, requester: str, limit: int
) -> list[Past]:
    """Return a requester's last sessions with a person, newest first."""
    of_both = and_(_columns.subject == subject, _columns.requester == requester)
    return await _list_past(connection, of_both, limit)


async def list_confirmations(connection: AsyncConnection, sim: str, limit: int) -> list[Past]:
    """Return the last sessions in which a card was to confirm a phone, newest first."""
    purpose = int(MobileSignaturePurpose.CONFIRM_PHONE)
    of_card = and_(_columns.sim == sim, _columns.purpose == purpose)
    return await _list_past(connection, of_card, limit)


async def _list_past(connection: AsyncConnection, condition: Any, limit: int) -> list[Past]:
    query = (
        select(_columns.create_time, _columns.end_time, _columns.state, _columns.outcome)
        .where(condition)
        .order_by(_columns.id.desc())
        .limit(limit)
    )
    return [
        Past(
            row.create_time,
            row.end_time,
            MobileSignatureState(row.state),
            MobileSignatureOutcome(row.outcome),
        )
        for row in await connection.execute(query)
    ]


async def list_codes(connection: AsyncConnection, subject: str, sim: str, limit: int) -> list[str]:
    """Return the last verification codes of a card, or of a person where there is none ("")."""
    of = _columns.sim == sim if sim else _columns.subject == subject
    query = select(_columns.code).where(of).order_by(_columns.id.desc()).limit(limit)
    return list((await connection.execute(query)).scalars())


async def list_revisions(connection: AsyncConnection, ids: Collection[str]) -> dict[str, int]:
    """Return the revisions of sessions by id."""
    query = select(_columns.id, _columns.revision).where(_columns.id.in_(ids))
    return {row.id: row.revision for row in await connection.execute(query)}


async def list_unsent(connection: AsyncConnection, now: datetime, limit: int) -> list[Session]:
    """Return open sessions whose request messaging does not have, oldest first."""
    query = (
        select(mobile_signatures)
        .where(
            _columns.open_sim.is_not(None),
            _columns.message == "",
            _columns.expire_time > now,
        )
        .order_by(_columns.id)
        .limit(limit)
    )
    return [_session(row) for row in await connection.execute(query)]


async def set_message(
    connection: AsyncConnection, session_id: str, message: str, look_time: datetime
) -> None:
    """Keep messaging's name of a session's request, and when to ask about it first."""
    await connection.execute(
        update(mobile_signatures)
        .where(_columns.id == session_id, _columns.message == "")
        .values(message=message, look_time=look_time)
    )


async def take_to_look_at(connection: AsyncConnection, now: datetime, limit: int) -> list[Session]:
    """Return sessions that wait and are due to be asked about, locked; other replicas' are left
    out."""
    query = (
        select(mobile_signatures)
        .where(
            _columns.look_time <= now,
            _columns.state == int(MobileSignatureState.WAITING),
        )
        .order_by(_columns.look_time)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return [_session(row) for row in await connection.execute(query)]


async def set_look_times(connection: AsyncConnection, times: Mapping[str, datetime]) -> None:
    """Set when sessions are asked about next."""
    for session_id, time in times.items():
        await connection.execute(
            update(mobile_signatures).where(_columns.id == session_id).values(look_time=time)
        )


async def set_delivered(connection: AsyncConnection, session_id: str) -> bool:
    """Have a session that waits be DELIVERED; return whether it was waiting."""
    done = await connection.execute(
        update(mobile_signatures)
        .where(_columns.id == session_id, _columns.state == int(MobileSignatureState.WAITING))
        .values(
            state=int(MobileSignatureState.DELIVERED),
            revision=_columns.revision + 1,
            look_time=None,
        )
    )
    return done.rowcount == 1


async def end_session(
    connection: AsyncConnection, session_id: str, end: End, now: datetime
) -> bool:
    """End a session; return whether it was open."""
    done = await connection.execute(
        update(mobile_signatures)
        .where(_columns.id == session_id, _columns.state.in_(_OPEN))
        .values(
            state=int(end.state),
            outcome=int(end.outcome),
            signature=end.signature or None,
            certificate=end.certificate or None,
            revision=_columns.revision + 1,
            open_subject=None,
            open_sim=None,
            look_time=None,
            end_time=now,
        )
    )
    return done.rowcount == 1


async def end_of_phones(
    connection: AsyncConnection, phones: Sequence[str], end: End, now: datetime
) -> list[str]:
    """End the open sessions of phones; return their ids."""
    query = select(_columns.id).where(_columns.phone.in_(phones), _columns.state.in_(_OPEN))
    ids = list((await connection.execute(query.order_by(_columns.id))).scalars())
    return [each for each in ids if await end_session(connection, each, end, now)]


async def list_expired(
    connection: AsyncConnection, now: datetime, limit: int
) -> list[tuple[str, End]]:
    """Return open sessions whose time is over, and how they end."""
    query = (
        select(_columns.id, _columns.state)
        .where(_columns.open_subject.is_not(None), _columns.expire_time <= now)
        .order_by(_columns.id)
        .limit(limit)
    )
    return [
        (row.id, expiry_of(MobileSignatureState(row.state)))
        for row in await connection.execute(query)
    ]


async def erase(connection: AsyncConnection, ended_before: datetime) -> int:
    """Erase digest, text, number and signature of sessions that ended by then; return of how
    many."""
    done = await connection.execute(
        update(mobile_signatures)
        .where(_columns.is_erased.is_(False), _columns.end_time <= ended_before)
        .values(
            is_erased=True,
            digest=None,
            signature=None,
            certificate=None,
            sealed=None,
            wrapping_key_id=None,
        )
    )
    return int(done.rowcount)


# Phones' notices


async def get_notices_through(connection: AsyncConnection, *, for_update: bool = False) -> int:
    """Return the number up to which identity's notices are acted on."""
    query = select(phone_notices.c.through).where(phone_notices.c.id == 1)
    if for_update:
        query = query.with_for_update()
    return int((await connection.execute(query)).scalar_one())


async def set_notices_through(connection: AsyncConnection, through: int) -> None:
    """Keep the number up to which identity's notices are acted on."""
    await connection.execute(
        update(phone_notices).where(phone_notices.c.id == 1).values(through=through)
    )


def _session(row: Row[Any]) -> Session:
    return Session(
        id=row.id,
        subject=row.subject,
        requester=row.requester,
        purpose=MobileSignaturePurpose(row.purpose),
        state=MobileSignatureState(row.state),
        outcome=MobileSignatureOutcome(row.outcome),
        revision=row.revision,
        code=row.code,
        nonce=bytes(row.nonce),
        phone=row.phone,
        sim=row.sim,
        counter=row.counter,
        digest=bytes(row.digest or b""),
        signature=bytes(row.signature or b""),
        certificate=bytes(row.certificate or b""),
        message=row.message,
        create_time=row.create_time,
        expire_time=row.expire_time,
        end_time=row.end_time,
        sealed=Sealed(row.wrapping_key_id, bytes(row.sealed)) if row.sealed is not None else None,
    )
