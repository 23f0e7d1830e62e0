"""Sign-ins by phone, and the challenges of acts that phones confirm, in the database."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Row, delete, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from services.runtime.sealing import Sealed
from services.signing.by_phone.rules import PhoneSignIn
from services.signing.tables import act_challenges, phone_sign_ins

_columns = phone_sign_ins.c


class Taken(Exception):
    """Another sign-in of the number was stored in this moment."""


async def list_sign_ins(
    connection: AsyncConnection, number_key: str, since: datetime, limit: int
) -> list[PhoneSignIn]:
    """Return a number's last sign-ins, newest first."""
    query = (
        select(phone_sign_ins)
        .where(_columns.number_key == number_key, _columns.create_time > since)
        .order_by(_columns.create_time.desc())
        .limit(limit)
    )
    return [_sign_in(row) for row in await connection.execute(query)]


async def find_open_until(connection: AsyncConnection, number_key: str) -> datetime | None:
    """Return when the number's open sign-in ends, or None if it has none."""
    query = select(_columns.expire_time).where(_columns.open_number == number_key)
    found: datetime | None = (await connection.execute(query)).scalar_one_or_none()
    return found


async def close_number(connection: AsyncConnection, number_key: str) -> None:
    """Have the number's open sign-in be open no more."""
    await connection.execute(
        update(phone_sign_ins).where(_columns.open_number == number_key).values(open_number=None)
    )


async def insert_sign_in(
    connection: AsyncConnection, sign_in: PhoneSignIn, sealed_challenge: Sealed
) -> None:
    """Store a sign-in, which is its number's open one. Raises Taken if the number has one."""
    row = {
        "id": sign_in.id,
        "number_key": sign_in.number_key,
        "open_number": sign_in.number_key,
        "session": sign_in.session,
        "code": sign_in.code,
        "wrapping_key_id": sealed_challenge.key_id,
        "sealed_challenge": sealed_challenge.data,
        "create_time": sign_in.create_time,
        "expire_time": sign_in.expire_time,
    }
    try:
        async with connection.begin_nested():
            await connection.execute(insert(phone_sign_ins).values(row))
    except IntegrityError:
        raise Taken from None


async def find_sign_in(
    connection: AsyncConnection, sign_in_id: str
) -> tuple[PhoneSignIn, Sealed] | None:
    """Return a sign-in and its challenge, sealed; or None."""
    query = select(phone_sign_ins).where(_columns.id == sign_in_id)
    row = (await connection.execute(query)).first()
    if row is None:
        return None
    return _sign_in(row), Sealed(row.wrapping_key_id, bytes(row.sealed_challenge))


async def delete_sign_ins(connection: AsyncConnection, before: datetime) -> None:
    """Delete the sign-ins that were started by then."""
    await connection.execute(delete(phone_sign_ins).where(_columns.create_time <= before))


# Challenges of acts


async def insert_act_challenge(
    connection: AsyncConnection, session: str, challenge: bytes, create_time: datetime
) -> None:
    """Keep the challenge in the lines that a session's SIM signs."""
    row = {"session": session, "challenge": challenge, "create_time": create_time}
    await connection.execute(insert(act_challenges).values(row))


async def find_act_challenge(connection: AsyncConnection, session: str) -> bytes | None:
    """Return the challenge in the lines of a session; None if it confirms no act, or not any
    more."""
    query = select(act_challenges.c.challenge).where(act_challenges.c.session == session)
    found: Any = (await connection.execute(query)).scalar_one_or_none()
    return None if found is None else bytes(found)


async def delete_act_challenges(connection: AsyncConnection, before: datetime) -> None:
    """Delete the challenges that were made by then."""
    query = delete(act_challenges).where(act_challenges.c.create_time <= before)
    await connection.execute(query)


def _sign_in(row: Row[Any]) -> PhoneSignIn:
    return PhoneSignIn(
        id=row.id,
        number_key=row.number_key,
        session=row.session,
        code=row.code,
        create_time=row.create_time,
        expire_time=row.expire_time,
    )
