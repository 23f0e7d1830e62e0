"""Tiles as they are stored, and whether they are those of the signed tree.

A tile is compared with its own root as it is read, and proved up to the head's root before anything
of it leaves: a damaged one that is served once stays in caches for a year. Full tiles never change,
so that those read and those proved are kept (LRU).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from cachetools import LRUCache
from sqlalchemy.ext.asyncio import AsyncConnection

from qagazsyz import merkle
from services.registry.log import store
from services.registry.log.store import StoredHead
from services.registry.log.tiles import (
    TILE_HEIGHT,
    TILE_WIDTH,
    Node,
    Tile,
    inclusion_ranges,
    node_in_tile,
    nodes_of,
    range_hash,
    tile_of,
    tile_rows,
)

# Full tiles in the cache, with the hashes inside them: about 50 kB each.
CACHED_TILES = 512

# The hashes of a tile by height: tile_rows.
Rows = list[list[bytes]]


class LogDamaged(Exception):
    """The stored log is not the one that was signed. Audit it before it goes on."""


class StoredTiles:
    """Reads tiles, and proves them. Methods read from the connection they are given."""

    def __init__(self) -> None:
        self._full: LRUCache[Tile, Rows] = LRUCache(CACHED_TILES)
        # Full tiles that were proved: each is a tile of every later tree.
        self._proved: LRUCache[Tile, bool] = LRUCache(CACHED_TILES)

    def forget(self) -> None:
        """Drop what is cached, after damage: it may be part of it."""
        self._full.clear()
        self._proved.clear()

    async def range_hashes(
        self, connection: AsyncConnection, ranges: Sequence[tuple[int, int]], tree_size: int
    ) -> list[bytes]:
        """Return the hashes over ranges of leaves, from as few tiles as hold them. Raises
        LogDamaged."""
        nodes = [node for start, stop in ranges for node in nodes_of(start, stop)]
        tiles = await self.read(connection, {tile_of(node, tree_size) for node in nodes})

        def hash_of(node: Node) -> bytes:
            return node_in_tile(node, tiles[tile_of(node, tree_size)])

        return [range_hash(start, stop, hash_of) for start, stop in ranges]

    async def read_proved(
        self, connection: AsyncConnection, tile: Tile, head: StoredHead
    ) -> list[bytes]:
        """Return the hashes of a tile of the head's tree, all of them proved. Raises LogDamaged."""
        rows = (await self.read(connection, {tile}))[tile]
        if tile not in self._proved:
            base = tile.level * TILE_HEIGHT
            start = tile.index * TILE_WIDTH
            # A full tile is one subtree, a partial one has up to eight.
            for node in nodes_of(start, start + tile.width):
                hash_ = rows[node.height][node.index % (TILE_WIDTH >> node.height)]
                await self._prove(connection, Node(base + node.height, node.index), hash_, head)
            if tile.is_full:
                self._proved[tile] = True
        return rows[0]

    async def _prove(
        self, connection: AsyncConnection, node: Node, hash_: bytes, head: StoredHead
    ) -> None:
        """Raise LogDamaged unless the head's tree has that hash at that node."""
        # Trees split at multiples of the subtree's size, so that its path is that of one leaf in a
        # tree of such subtrees, of which the last may be partial.
        width = 1 << node.height
        subtrees = -(-head.tree_size // width)
        ranges = [
            (start * width, min(stop * width, head.tree_size))
            for start, stop in inclusion_ranges(node.index, subtrees)
        ]
        path = await self.range_hashes(connection, ranges, head.tree_size)
        try:
            merkle.verify_inclusion(hash_, node.index, subtrees, path, head.root_hash)
        except merkle.ProofError:
            raise LogDamaged("a tile is not of the signed tree") from None

    async def read(self, connection: AsyncConnection, tiles: Iterable[Tile]) -> dict[Tile, Rows]:
        """Return the rows of hashes of each tile. Raises LogDamaged if one is missing, or is not
        the one that its stored root is over."""
        found: dict[Tile, Rows] = {}
        missing: list[Tile] = []
        for tile in tiles:
            if not tile.is_full:
                hashes = await store.read_partial_tile(connection, tile)
                if len(hashes) != tile.width:
                    raise LogDamaged("hashes are missing")
                found[tile] = tile_rows(hashes)
            elif tile in self._full:
                found[tile] = self._full[tile]
            else:
                missing.append(tile)
        for tile, (hashes, root) in (await store.read_full_tiles(connection, missing)).items():
            rows = tile_rows(hashes) if len(hashes) == TILE_WIDTH else []
            if not rows or rows[TILE_HEIGHT] != [root]:
                raise LogDamaged("a tile is damaged")
            found[tile] = self._full[tile] = rows
        if any(tile not in found for tile in missing):
            raise LogDamaged("a tile is missing")
        return found
