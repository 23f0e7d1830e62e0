"""Used challenges in the database."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.identity.store import insert_row
from services.identity.tables import used_challenges


async def use_challenge(
    connection: AsyncConnection,
    digest: str,
    *,
    expire_time: datetime,
    now: datetime,
    act: bytes | None = None,
) -> None:
    """Mark a challenge as used, and delete expired ones. Raises Taken if it was used.

    act: what it confirmed; None for a sign-in.
    """
    await connection.execute(delete(used_challenges).where(used_challenges.c.expire_time < now))
    await insert_row(
        connection,
        used_challenges,
        {"challenge": digest, "expire_time": expire_time, "act": act},
    )


async def find_use(
    connection: AsyncConnection, digest: str, *, now: datetime
) -> tuple[bytes | None] | None:
    """Return the act that used the challenge, (None,) where it signed somebody in, and None if it
    was not used or the use is no longer remembered."""
    query = select(used_challenges.c.act).where(
        used_challenges.c.challenge == digest, used_challenges.c.expire_time >= now
    )
    row = (await connection.execute(query)).first()
    return None if row is None else (row.act,)
