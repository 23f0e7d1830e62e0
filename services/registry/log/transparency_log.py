"""The transparency log as its readers see it: checkpoints, tiles and proofs (C2SP tlog-tiles).

Nothing here appends; sequencer.py does. Every answer is made from the stored tree, so that each
replica gives the same at once. Full tiles never change, so they are cached (LRU).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cachetools import LRUCache
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from sqlalchemy.ext.asyncio import AsyncConnection

from qagazsyz import notes
from qagazsyz.receipts import ENTRY_LIMIT_BYTES
from services.registry.log import store
from services.registry.log.canonical_json import canonical_json
from services.registry.log.store import Cosignature
from services.registry.log.tiles import (
    TILE_WIDTH,
    Node,
    Tile,
    consistency_ranges,
    inclusion_ranges,
    node_in_tile,
    nodes_of,
    range_hash,
    tile_of,
    tile_rows,
    tile_width,
)

# Full tiles in the cache, with the hashes inside them: about 50 kB each.
CACHED_TILES = 512


class LogDamaged(Exception):
    """The stored log is not the one that was signed. Audit it before it goes on."""


@dataclass(frozen=True, slots=True)
class LogKey:
    """The key that signs checkpoints; its name is the log's origin."""

    verifier: notes.VerifierKey
    private_key: Ed25519PrivateKey

    @classmethod
    def load(cls, pem: bytes, origin: str) -> LogKey:
        """Return the key of a PKCS#8 PEM. Raises ValueError for any other than an Ed25519 key."""
        private_key = load_pem_private_key(pem, password=None)
        if not isinstance(private_key, Ed25519PrivateKey):
            raise ValueError("the log's key is not an Ed25519 key")
        return cls(notes.verifier_key(origin, private_key), private_key)

    @property
    def origin(self) -> str:
        return self.verifier.name

    def sign(self, tree_size: int, root_hash: bytes) -> bytes:
        """Return the checkpoint of that tree: always the same bytes for the same tree."""
        text = notes.Checkpoint(self.origin, tree_size, root_hash).text
        signature = notes.sign(text, self.verifier, self.private_key)
        return bytes(notes.Note(text, (signature,)))


@dataclass(frozen=True, slots=True)
class InclusionProof:
    """That the tree of a checkpoint holds an entry."""

    log_index: int
    entry: bytes
    # RFC 9162, section 2.1.3.1.
    path: tuple[bytes, ...]
    # With the cosignatures over it.
    checkpoint: bytes


def encode_entry(members: Mapping[str, Any]) -> bytes:
    """Return the entry as RFC 8785 JSON. Raises ValueError over ENTRY_LIMIT_BYTES."""
    entry = canonical_json(members)
    if len(entry) > ENTRY_LIMIT_BYTES:
        raise ValueError(f"a log entry has at most {ENTRY_LIMIT_BYTES} bytes")
    return entry


class TransparencyLog:
    """Answers readers and witnesses of the log. Methods read from the connection they are given."""

    def __init__(self, key: LogKey, witnesses: Sequence[notes.VerifierKey] = ()) -> None:
        self.key = key
        self.witnesses = tuple(witnesses)
        self._full: LRUCache[Tile, list[list[bytes]]] = LRUCache(CACHED_TILES)

    # --- Checkpoints ---------------------------------------------------------

    async def checkpoint(self, connection: AsyncConnection) -> bytes:
        """Return the latest checkpoint, with the cosignatures over it. Raises LogDamaged."""
        head = await self._head(connection)
        return await self._with_cosignatures(connection, head.tree_size, head.checkpoint)

    async def cosigned_checkpoint(self, connection: AsyncConnection) -> bytes | None:
        """Return the newest checkpoint that a witness has cosigned, or None."""
        size = await store.newest_cosigned_size(connection)
        if size is None:
            return None
        signed = self.key.sign(size, await self.root(connection, size))
        return await self._with_cosignatures(connection, size, signed)

    async def verify_cosignatures(
        self, connection: AsyncConnection, note: notes.Note
    ) -> list[Cosignature]:
        """Return the cosignatures by known witnesses in a note over one of this log's trees.

        Raises NoteError for a tree of another log, and for a known witness' signature that does not
        verify.
        """
        checkpoint = notes.Checkpoint.parse(note.text)
        size = checkpoint.tree_size
        if checkpoint.origin != self.key.origin or not 0 < size <= await self.tree_size(connection):
            raise notes.NoteError("not a checkpoint of this log")
        own = notes.Checkpoint(self.key.origin, size, await self.root(connection, size))
        # Compared as a whole: this log's checkpoints have no extension lines.
        if note.text != own.text:
            raise notes.NoteError("not a checkpoint of this log")
        return [
            Cosignature(
                size,
                str(witness),
                next(each.line for each in note.signatures if each.is_by(witness)),
            )
            for witness in note.verify(self.witnesses)
        ]

    async def add_cosignatures(
        self, connection: AsyncConnection, verified: Sequence[Cosignature]
    ) -> None:
        """Store cosignatures that verify_cosignatures returned."""
        for each in verified:
            await store.put_cosignature(connection, each)

    async def _with_cosignatures(
        self, connection: AsyncConnection, tree_size: int, checkpoint: bytes
    ) -> bytes:
        cosignatures = await store.read_cosignatures(connection, tree_size)
        return checkpoint + "".join(each.line for each in cosignatures).encode()

    async def _head(self, connection: AsyncConnection) -> store.StoredHead:
        head = await store.read_head(connection)
        if head is None:
            raise LogDamaged("the log has no head")
        return head

    # --- Proofs --------------------------------------------------------------

    async def tree_size(self, connection: AsyncConnection) -> int:
        """Return how many entries the latest checkpoint covers."""
        return (await self._head(connection)).tree_size

    async def root(self, connection: AsyncConnection, tree_size: int) -> bytes:
        """Return the root hash of the tree of that size, at most the latest."""
        return (await self._range_hashes(connection, [(0, tree_size)], tree_size))[0]

    async def consistency(
        self, connection: AsyncConnection, first_size: int, second_size: int
    ) -> list[bytes]:
        """Return the proof that the second tree, at most the latest, begins with the first."""
        ranges = consistency_ranges(first_size, second_size)
        return await self._range_hashes(connection, ranges, second_size)

    async def prove_inclusion(
        self, connection: AsyncConnection, log_indexes: Sequence[int]
    ) -> list[InclusionProof]:
        """Return the proofs of entries, in order, all against the latest checkpoint.

        Raises LogDamaged if an entry is missing.
        """
        head = await self._head(connection)
        checkpoint = await self._with_cosignatures(connection, head.tree_size, head.checkpoint)
        entries = await store.read_some_entries(connection, log_indexes)
        if any(index not in entries or index >= head.tree_size for index in log_indexes):
            raise LogDamaged("an entry is missing")
        paths = [inclusion_ranges(index, head.tree_size) for index in log_indexes]
        hashes = iter(
            await self._range_hashes(
                connection, [each for path in paths for each in path], head.tree_size
            )
        )
        return [
            InclusionProof(
                index, entries[index].entry, tuple(next(hashes) for _ in path), checkpoint
            )
            for index, path in zip(log_indexes, paths, strict=True)
        ]

    async def _range_hashes(
        self, connection: AsyncConnection, ranges: Sequence[tuple[int, int]], tree_size: int
    ) -> list[bytes]:
        """Return the hashes over ranges of leaves, from as few tiles as hold them."""
        nodes = [node for start, stop in ranges for node in nodes_of(start, stop)]
        tiles = await self._tiles(connection, {tile_of(node, tree_size) for node in nodes})

        def hash_of(node: Node) -> bytes:
            return node_in_tile(node, tiles[tile_of(node, tree_size)])

        return [range_hash(start, stop, hash_of) for start, stop in ranges]

    # --- Tiles ---------------------------------------------------------------

    async def tile(self, connection: AsyncConnection, tile: Tile) -> bytes | None:
        """Return the tile's hashes as they are served, None if the tree has not grown to it."""
        size = await self.tree_size(connection)
        if tile.width > tile_width(tile.level, tile.index, size):
            return None
        rows = (await self._tiles(connection, {tile}))[tile]
        return b"".join(rows[0])

    async def entries(self, connection: AsyncConnection, tile: Tile) -> bytes | None:
        """Return the entry bundle beside a tile of level 0, None if the tree has not grown to it:
        each entry behind its length in two bytes."""
        size = await self.tree_size(connection)
        if tile.width > tile_width(0, tile.index, size):
            return None
        start = tile.index * TILE_WIDTH
        entries = await store.read_entries(connection, start, start + tile.width)
        if len(entries) != tile.width:
            raise LogDamaged("entries are missing")
        return b"".join(len(each.entry).to_bytes(2, "big") + each.entry for each in entries)

    async def _tiles(
        self, connection: AsyncConnection, tiles: Iterable[Tile]
    ) -> dict[Tile, list[list[bytes]]]:
        """Return the rows of hashes of each tile (tile_rows)."""
        found: dict[Tile, list[list[bytes]]] = {}
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
        for tile, hashes in (await store.read_full_tiles(connection, missing)).items():
            if len(hashes) != TILE_WIDTH:
                raise LogDamaged("a tile is damaged")
            found[tile] = self._full[tile] = tile_rows(hashes)
        if any(tile not in found for tile in missing):
            raise LogDamaged("a tile is missing")
        return found
