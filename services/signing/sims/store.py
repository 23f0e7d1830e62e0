"""SQL of SIMs' keys and counters."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.runtime.sealing import Sealed
from services.signing.tables import sim_keys

_columns = sim_keys.c


async def replace_keys(connection: AsyncConnection, keys: Mapping[str, Sealed]) -> None:
    """Store cards' keys by the cards' ids; those that were there keep their counters."""
    counters = {
        row.sim: row.counter
        for row in await connection.execute(
            select(_columns.sim, _columns.counter)
            .where(_columns.sim.in_(keys))
            .order_by(_columns.sim)
            .with_for_update()
        )
    }
    await connection.execute(delete(sim_keys).where(_columns.sim.in_(counters)))
    rows = [
        {
            "sim": sim,
            "counter": counters.get(sim, 0),
            "wrapping_key_id": sealed.key_id,
            "sealed_key": sealed.data,
        }
        for sim, sealed in keys.items()
    ]
    if rows:
        await connection.execute(insert(sim_keys), rows)


async def find_key(connection: AsyncConnection, sim: str) -> Sealed | None:
    """Return a card's sealed key, or None."""
    row = (
        await connection.execute(
            select(_columns.wrapping_key_id, _columns.sealed_key).where(_columns.sim == sim)
        )
    ).one_or_none()
    return None if row is None else Sealed(row.wrapping_key_id, bytes(row.sealed_key))


async def raise_counter(connection: AsyncConnection, sim: str, least: int) -> int | None:
    """Raise a card's counter by one, or to `least` if that is more, and return it; None if the card
    has no key. The row stays locked until the commit."""
    query = select(_columns.counter).where(_columns.sim == sim).with_for_update()
    last = (await connection.execute(query)).scalar_one_or_none()
    if last is None:
        return None
    counter = max(int(last) + 1, least)
    await connection.execute(update(sim_keys).where(_columns.sim == sim).values(counter=counter))
    return counter


async def wrapping_keys_in_use(connection: AsyncConnection) -> dict[str, int]:
    """Count the cards' keys under each key-encryption key, by its id."""
    query = select(_columns.wrapping_key_id, func.count()).group_by(_columns.wrapping_key_id)
    return {row[0]: row[1] for row in await connection.execute(query)}


async def sealed_under(
    connection: AsyncConnection, wrapping_key_id: str, limit: int
) -> dict[str, Sealed]:
    """Return at most so many cards' keys under a key-encryption key, locked until the commit."""
    query = (
        select(sim_keys)
        .where(_columns.wrapping_key_id == wrapping_key_id)
        .order_by(_columns.sim)
        .limit(limit)
        .with_for_update()
    )
    return {
        row.sim: Sealed(row.wrapping_key_id, bytes(row.sealed_key))
        for row in await connection.execute(query)
    }


async def delete_keys(connection: AsyncConnection, cards: Collection[str]) -> None:
    """Delete the keys of cards that are no longer in use."""
    await connection.execute(delete(sim_keys).where(_columns.sim.in_(cards)))
