"""The log's SQL: entries, full tiles, the signed head, cosignatures, and rows beside entries.

Nothing here signs or checks. Entries, tiles and the head are written in a group's transaction only,
with the head's row locked (group_commit.py; the first head: signed_tree.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from sqlalchemy import Table, func, insert, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from qagazsyz import notes
from services.registry.log.tiles import (
    TILE_HEIGHT,
    TILE_WIDTH,
    Edge,
    Tile,
    edge_levels,
    split_hashes,
)
from services.registry.tables import log_cosignatures, log_entries, log_head, log_tiles, metadata

_HEAD_ID = 1


class HeadExists(Exception):
    """Another replica made the first head."""


@dataclass(frozen=True, slots=True)
class StoredHead:
    """The head's row; nothing in it has been verified."""

    tree_size: int
    root_hash: bytes
    checkpoint: bytes


@dataclass(frozen=True, slots=True)
class StoredEntry:
    """An entry's row; its hash has not been verified."""

    log_index: int
    leaf_hash: bytes
    entry: bytes


@dataclass(frozen=True, slots=True)
class Cosignature:
    """A witness' signature line over the tree of that size."""

    tree_size: int
    # Its verifier key.
    witness: str
    # With its newline.
    line: str

    @property
    def time(self) -> int:
        """When it was made, in POSIX seconds, as the witness signed it; -1 if it cannot be read."""
        try:
            return notes.cosignature_time(self.line)
        except notes.NoteError:
            return -1


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of one table that are inserted with a submission's entries; all have the same keys."""

    table: Table
    rows: Sequence[Mapping[str, Any]]
    # The column whose value is a position among the submission's entries; the entry's log index is
    # stored in its place.
    index_column: str | None = None

    def at(self, first_index: int) -> Sequence[Mapping[str, Any]]:
        """Return the rows with their log indexes."""
        if self.index_column is None:
            return self.rows
        column = self.index_column
        return [{**row, column: first_index + row[column]} for row in self.rows]


# --- The head ----------------------------------------------------------------


async def read_head(connection: AsyncConnection, *, lock: bool = False) -> StoredHead | None:
    """Return the head, None before the first; lock: until the transaction ends."""
    statement = select(log_head).where(log_head.c.id == _HEAD_ID)
    if lock:
        statement = statement.with_for_update()
    row = (await connection.execute(statement)).one_or_none()
    if row is None:
        return None
    return StoredHead(row.tree_size, bytes(row.root_hash), bytes(row.checkpoint))


async def limit_idleness(connection: AsyncConnection, seconds: int) -> None:
    """Make PostgreSQL end this transaction, and free its locks, after so many idle seconds."""
    if connection.dialect.name == "postgresql":
        await connection.exec_driver_sql(
            f"SET LOCAL idle_in_transaction_session_timeout = '{seconds}s'"
        )


async def create_head(connection: AsyncConnection, head: StoredHead) -> None:
    """Store the first head. Raises HeadExists."""
    try:
        await connection.execute(insert(log_head).values(id=_HEAD_ID, **_head_values(head)))
    except IntegrityError:
        raise HeadExists from None


async def write_head(connection: AsyncConnection, head: StoredHead) -> None:
    """Store a newer head in place of the present one."""
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
    """Store (leaf hash, entry) pairs from that index on."""
    await connection.execute(
        insert(log_entries),
        [
            {"log_index": first_index + i, "leaf_hash": leaf_hash, "entry": entry}
            for i, (leaf_hash, entry) in enumerate(entries)
        ],
    )


async def read_leaf_hashes(connection: AsyncConnection, start: int, stop: int) -> list[bytes]:
    """Return the leaf hashes of [start, stop), in order; fewer if entries are missing."""
    if start >= stop:
        return []
    statement = (
        select(log_entries.c.leaf_hash)
        .where(log_entries.c.log_index >= start, log_entries.c.log_index < stop)
        .order_by(log_entries.c.log_index)
    )
    return [bytes(value) for value in (await connection.execute(statement)).scalars()]


async def read_entries(connection: AsyncConnection, start: int, stop: int) -> list[StoredEntry]:
    """Return the entries of [start, stop), in order; fewer if some are missing."""
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
    """Return the entries at those indexes, as far as they exist."""
    statement = select(log_entries).where(log_entries.c.log_index.in_(list(indexes)))
    return {
        row.log_index: StoredEntry(row.log_index, bytes(row.leaf_hash), bytes(row.entry))
        for row in await connection.execute(statement)
    }


async def count_entries(connection: AsyncConnection) -> int:
    """Return the highest index plus one."""
    highest = (await connection.execute(select(func.max(log_entries.c.log_index)))).scalar()
    return 0 if highest is None else int(highest) + 1


# --- Rows beside entries -----------------------------------------------------


async def insert_rows(connection: AsyncConnection, placed: Iterable[tuple[int, Rows]]) -> None:
    """Insert rows, each group of them with the log index of its submission's first entry.

    One statement a table, in the tables' order of dependency, so that foreign keys hold.
    """
    merged: dict[Table, list[Mapping[str, Any]]] = {}
    for first_index, rows in placed:
        merged.setdefault(rows.table, []).extend(rows.at(first_index))
    for table in sorted(merged, key=_order().__getitem__):
        if merged[table]:
            await connection.execute(insert(table), merged[table])


@cache
def _order() -> dict[Table, int]:
    """Return the tables' order of dependency, fixed once all of them are declared."""
    return {table: place for place, table in enumerate(metadata.sorted_tables)}


# --- Tiles -------------------------------------------------------------------


async def insert_tiles(
    connection: AsyncConnection, tiles: Sequence[tuple[Tile, bytes, bytes]]
) -> None:
    """Store full tiles: place, root, hashes."""
    await connection.execute(
        insert(log_tiles),
        [
            {"level": tile.level, "tile_index": tile.index, "root_hash": root, "hashes": hashes}
            for tile, root, hashes in tiles
        ],
    )


async def read_full_tiles(
    connection: AsyncConnection, tiles: Sequence[Tile]
) -> dict[Tile, tuple[list[bytes], bytes]]:
    """Return the hashes of those full tiles, and the stored roots over them, as far as they
    exist."""
    if not tiles:
        return {}
    wanted: dict[int, list[int]] = {}
    for tile in tiles:
        wanted.setdefault(tile.level, []).append(tile.index)
    statement = select(log_tiles).where(
        or_(
            *(
                (log_tiles.c.level == level) & log_tiles.c.tile_index.in_(indexes)
                for level, indexes in wanted.items()
            )
        )
    )
    return {
        Tile(row.level, row.tile_index): (split_hashes(bytes(row.hashes)), bytes(row.root_hash))
        for row in await connection.execute(statement)
    }


async def read_tile_roots(
    connection: AsyncConnection, level: int, start: int, stop: int
) -> list[bytes]:
    """Return the roots of the full tiles [start, stop) of the level, in order."""
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


async def last_full_tiles(connection: AsyncConnection) -> list[Tile]:
    """Return the last stored tile of each level, by level."""
    level, index = log_tiles.c.level, log_tiles.c.tile_index
    statement = select(level, func.max(index).label("last")).group_by(level).order_by(level)
    return [Tile(row.level, row.last) for row in await connection.execute(statement)]


async def read_partial_tile(connection: AsyncConnection, tile: Tile) -> list[bytes]:
    """Return the first tile.width hashes of a tile, made from the level below."""
    start = tile.index * TILE_WIDTH
    if tile.level == 0:
        return await read_leaf_hashes(connection, start, start + tile.width)
    return await read_tile_roots(connection, tile.level - 1, start, start + tile.width)


async def read_edge(connection: AsyncConnection, tree_size: int) -> Edge:
    """Return the right edge of the tree of that size. Raises ValueError if parts are missing."""
    partial: list[list[bytes]] = []
    for level in range(edge_levels(tree_size)):
        hashes = tree_size >> (TILE_HEIGHT * level)
        last = Tile(level, hashes // TILE_WIDTH, hashes % TILE_WIDTH)
        partial.append(await read_partial_tile(connection, last))
    return Edge(tree_size, partial)


# --- Cosignatures ------------------------------------------------------------


async def put_cosignature(connection: AsyncConnection, cosignature: Cosignature) -> None:
    """Store a witness' cosignature, in place of an older one of it over the same tree; a newer one,
    by the time that the witness signed, stays."""
    columns = log_cosignatures.c
    is_it = (columns.tree_size == cosignature.tree_size) & (columns.witness == cosignature.witness)
    statement = select(columns.line).where(is_it).with_for_update()
    stored = (await connection.execute(statement)).scalar()
    if stored is None:
        await connection.execute(
            insert(log_cosignatures).values(
                tree_size=cosignature.tree_size,
                witness=cosignature.witness,
                line=cosignature.line,
            )
        )
    elif replace(cosignature, line=stored).time < cosignature.time:
        await connection.execute(
            update(log_cosignatures).where(is_it).values(line=cosignature.line)
        )


async def read_cosignatures(connection: AsyncConnection, tree_size: int) -> list[Cosignature]:
    """Return the witnesses' cosignatures over the tree of that size."""
    statement = (
        select(log_cosignatures)
        .where(log_cosignatures.c.tree_size == tree_size)
        .order_by(log_cosignatures.c.witness)
    )
    return [
        Cosignature(row.tree_size, row.witness, row.line)
        for row in await connection.execute(statement)
    ]


async def newest_cosigned_size(connection: AsyncConnection) -> int | None:
    """Return the size of the largest tree that a witness cosigned, or None."""
    size = (await connection.execute(select(func.max(log_cosignatures.c.tree_size)))).scalar()
    return None if size is None else int(size)
