"""Used challenges, and the mobile signatures of acts, in the database."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.identity.store import Taken, insert_row
from services.identity.tables import mobile_signatures, used_challenges


@dataclass(frozen=True, slots=True)
class MobileSignature:
    """A SIM's signature over an act's lines; algorithm is the contract's number."""

    # "mobileSignatures/{id}"
    name: str
    algorithm: int
    signature: bytes


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


async def keep_signature(
    connection: AsyncConnection, kept: MobileSignature, *, expire_time: datetime, now: datetime
) -> None:
    """Keep a mobile signature until a time, and delete those whose time is over. The first one of a
    name stays."""
    await connection.execute(delete(mobile_signatures).where(mobile_signatures.c.expire_time < now))
    with suppress(Taken):
        values = {**asdict(kept), "expire_time": expire_time}
        await insert_row(connection, mobile_signatures, values)


async def find_signature(
    connection: AsyncConnection, name: str, *, now: datetime
) -> MobileSignature | None:
    """Return the mobile signature of a name, or None."""
    query = select(mobile_signatures).where(
        mobile_signatures.c.name == name, mobile_signatures.c.expire_time >= now
    )
    row = (await connection.execute(query)).first()
    return None if row is None else MobileSignature(row.name, row.algorithm, row.signature)
