"""Used challenges in the database."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import delete
from sqlalchemy.ext.asyncio import AsyncConnection

from services.identity.store import insert_row
from services.identity.tables import used_challenges


async def use_challenge(
    connection: AsyncConnection, digest: str, *, expire_time: datetime, now: datetime
) -> None:
    """Mark a challenge as used, and delete expired ones. Raises Taken if it was used."""
    await connection.execute(delete(used_challenges).where(used_challenges.c.expire_time < now))
    await insert_row(connection, used_challenges, {"challenge": digest, "expire_time": expire_time})
