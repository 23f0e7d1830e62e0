"""The log's SQL: entries, full tiles, the signed head, cosignatures. Nothing here signs or checks.

Only sequencer.py writes through it, in the group's transaction, with the head's
row locked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.registry.log.tiles import (
    TILE_HEIGHT,
    TILE_WIDTH,
    Edge,
    Tile,
    edge_levels,
    split_hashes,
)
from services.registry.tables import log_cosignatures, log_entries, log_head, log_tiles

_HEAD_ID = 1


@dataclass(frozen=True, slots=True)
class StoredHead:
    """The head's row, as it is; nothing in it has been verified."""

    tree_size: int
    root_hash: bytes
    checkpoint: bytes


@dataclass(frozen=True, slots=True)
class StoredEntry:
    log_index: int
    leaf_hash: bytes
    entry: bytes


# --- The head ----------------------------------------------------------------


async def read_head(connection: AsyncConnection, *, lock: bool = False) -> StoredHead | None:
    """The head, or None before the first; locked until the transaction's end if so asked."""
    statement = select(log_head).where(log_head.c.id == _HEAD_ID)
    if lock:
        statement = statement.with_for_update()
    row = (await connection.execute(statement)).one_or_none()
    if row is None:
        return None
    return StoredHead(row.tree_size, bytes(row.root_hash), bytes(row.checkpoint))


async def limit_idleness(connection: AsyncConnection, seconds: int) -> None:
    """Has PostgreSQL end this transaction, and free its locks, once nothing came for so long."""
    if connection.dialect.name == "postgresql":
        await connection.exec_driver_sql(
            f"SET LOCAL idle_in_transaction_session_timeout = '{seconds}s'"
        )


async def create_head(connection: AsyncConnection, head: StoredHead) -> None:
    """Writes the first head. Raises IntegrityError if another replica was first."""
    await connection.execute(insert(log_head).values(id=_HEAD_ID, **_head_values(head)))


async def write_head(connection: AsyncConnection, head: StoredHead) -> None:
    await connection.execute(
        update(log_head).where(log_head.c.id == _HEAD_ID).values(**_head_values(head))
    )


def _head_values(head: StoredHead) -> dict[str, Any]:
    return {
        "tree_size": head.tree_size,
        "root_hash": head.root_hash,
        "checkpoint": head.checkpoint,
    }


# --- Entries -----------------------------------------------------------------


async def insert_entries(
    connection: AsyncConnection, first_index: int, entries: Sequence[tuple[bytes, bytes]]
) -> None:
    """Adds (leaf hash, entry) from that index on."""
    await connection.execute(
        insert(log_entries),
        [
            {"log_index": first_index + i, "leaf_hash": leaf_hash, "entry": entry}
            for i, (leaf_hash, entry) in enumerate(entries)
        ],
    )


async def read_leaf_hashes(connection: AsyncConnection, start: int, stop: int) -> list[bytes]:
    """The leaf hashes of [start, stop), in order; fewer where entries are missing."""
    if start >= stop:
        return []
    statement = (
        select(log_entries.c.leaf_hash)
        .where(log_entries.c.log_index >= start, log_entries.c.log_index < stop)
        .order_by(log_entries.c.log_index)
    )
    return [bytes(value) for value in (await connection.execute(statement)).scalars()]


async def read_entries(connection: AsyncConnection, start: int, stop: int) -> list[StoredEntry]:
    """The entries of [start, stop), in order; fewer where some are missing."""
    statement = (
        select(log_entries)
        .where(log_entries.c.log_index >= start, log_entries.c.log_index < stop)
        .order_by(log_entries.c.log_index)
    )
    return [
        StoredEntry(row.log_index, bytes(row.leaf_hash), bytes(row.entry))
        for row in await connection.execute(statement)
    ]


async def read_some_entries(
    connection: AsyncConnection, indexes: Sequence[int]
) -> dict[int, StoredEntry]:
    """The entries at those indexes that are there."""
    statement = select(log_entries).where(log_entries.c.log_index.in_(list(indexes)))
    return {
        row.log_index: StoredEntry(row.log_index, bytes(row.leaf_hash), bytes(row.entry))
        for row in await connection.execute(statement)
    }


async def count_entries(connection: AsyncConnection) -> int:
    """One more than the highest index."""
    highest = (await connection.execute(select(func.max(log_entries.c.log_index)))).scalar()
    return 0 if highest is None else int(highest) + 1


# --- Tiles -------------------------------------------------------------------


async def insert_tiles(
    connection: AsyncConnection, tiles: Sequence[tuple[Tile, bytes, bytes]]
) -> None:
    """Adds full tiles: place, root, hashes."""
    await connection.execute(
        insert(log_tiles),
        [
            {"level": tile.level, "tile_index": tile.index, "root_hash": root, "hashes": hashes}
            for tile, root, hashes in tiles
        ],
    )


async def read_full_tiles(
    connection: AsyncConnection, tiles: Sequence[Tile]
) -> dict[Tile, list[bytes]]:
    """The hashes of those full tiles that are there."""
    if not tiles:
        return {}
    wanted: dict[int, list[int]] = {}
    for tile in tiles:
        wanted.setdefault(tile.level, []).append(tile.index)
    statement = select(log_tiles.c.level, log_tiles.c.tile_index, log_tiles.c.hashes).where(
        or_(
            *(
                (log_tiles.c.level == level) & log_tiles.c.tile_index.in_(indexes)
                for level, indexes in wanted.items()
            )
        )
    )
    return {
        Tile(row.level, row.tile_index): split_hashes(bytes(row.hashes))
        for row in await connection.execute(statement)
    }


async def read_tile_roots(
    connection: AsyncConnection, level: int, start: int, stop: int
) -> list[bytes]:
    """The roots of the full tiles [start, stop) of the level, in order."""
    if start >= stop:
        return []
    statement = (
        select(log_tiles.c.root_hash)
        .where(
            log_tiles.c.level == level,
            log_tiles.c.tile_index >= start,
            log_tiles.c.tile_index < stop,
        )
        .order_by(log_tiles.c.tile_index)
    )
    return [bytes(value) for value in (await connection.execute(statement)).scalars()]


async def read_partial_tile(connection: AsyncConnection, tile: Tile) -> list[bytes]:
    """The first tile.width hashes of a tile, made from the level below."""
    start = tile.index * TILE_WIDTH
    if tile.level == 0:
        return await read_leaf_hashes(connection, start, start + tile.width)
    return await read_tile_roots(connection, tile.level - 1, start, start + tile.width)


async def read_edge(connection: AsyncConnection, tree_size: int) -> Edge:
    """The right edge of the tree of that size. Raises ValueError where parts of it are missing."""
    partial: list[list[bytes]] = []
    for level in range(edge_levels(tree_size)):
        hashes = tree_size >> (TILE_HEIGHT * level)
        last = Tile(level, hashes // TILE_WIDTH, hashes % TILE_WIDTH)
        partial.append(await read_partial_tile(connection, last))
    return Edge(tree_size, partial)


# --- Cosignatures ------------------------------------------------------------


async def put_cosignature(
    connection: AsyncConnection, tree_size: int, witness: str, line: str
) -> None:
    """Keeps a witness' cosignature; a newer one over the same tree takes its place."""
    changed = await connection.execute(
        update(log_cosignatures)
        .where(log_cosignatures.c.tree_size == tree_size, log_cosignatures.c.witness == witness)
        .values(line=line)
    )
    if changed.rowcount == 0:
        await connection.execute(
            insert(log_cosignatures).values(tree_size=tree_size, witness=witness, line=line)
        )


async def read_cosignatures(connection: AsyncConnection, tree_size: int) -> list[tuple[str, str]]:
    """The witnesses that cosigned the tree of that size, with their signature lines."""
    statement = (
        select(log_cosignatures.c.witness, log_cosignatures.c.line)
        .where(log_cosignatures.c.tree_size == tree_size)
        .order_by(log_cosignatures.c.witness)
    )
    return [(row.witness, row.line) for row in await connection.execute(statement)]


async def newest_cosigned_size(connection: AsyncConnection) -> int | None:
    """The size of the largest tree that a witness cosigned, or None."""
    size = (await connection.execute(select(func.max(log_cosignatures.c.tree_size)))).scalar()
    return None if size is None else int(size)
