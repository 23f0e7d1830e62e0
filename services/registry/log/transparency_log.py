"""The transparency log as its readers see it: checkpoints, tiles and proofs (C2SP tlog-tiles).

Nothing here appends; sequencer.py does. Every answer is made from the stored tree, so that each
replica gives the same at once, and proved up to the signed head before it leaves. What is not of
the signed tree is not served: readers get UNAVAILABLE, the process' log says why, and nothing more
is signed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from sqlalchemy.ext.asyncio import AsyncConnection

from qagazsyz import merkle, notes
from qagazsyz.receipts import ENTRY_LIMIT_BYTES
from services.registry.log import store
from services.registry.log.canonical_json import canonical_json
from services.registry.log.store import Cosignature
from services.registry.log.stored_tiles import LogDamaged, StoredTiles
from services.registry.log.tiles import (
    TILE_WIDTH,
    Tile,
    consistency_ranges,
    inclusion_ranges,
    tile_width,
)
from services.runtime.errors import Unavailable

log = logging.getLogger(__name__)


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
    """Answers readers and witnesses of the log. Methods read from the connection they are given,
    and raise Unavailable where what is stored is not what was signed."""

    def __init__(
        self,
        key: LogKey,
        witnesses: Sequence[notes.VerifierKey] = (),
        *,
        on_damage: Callable[[LogDamaged], None] = lambda _: None,
    ) -> None:
        """on_damage: told of each damage that a reader met."""
        self.key = key
        self.witnesses = tuple(witnesses)
        self._on_damage = on_damage
        self._tiles = StoredTiles()
        # The last head that was found to be signed.
        self._signed: store.StoredHead | None = None

    # --- Checkpoints ---------------------------------------------------------

    async def checkpoint(self, connection: AsyncConnection) -> bytes:
        """Return the latest checkpoint, with the cosignatures over it."""
        with self._serving():
            head = await self._head(connection)
            return await self._with_cosignatures(connection, head.tree_size, head.checkpoint)

    async def own_checkpoint(self, connection: AsyncConnection) -> bytes:
        """Return the latest checkpoint with the log's signature alone, for witnesses."""
        with self._serving():
            return (await self._head(connection)).checkpoint

    async def cosigned_checkpoint(self, connection: AsyncConnection) -> bytes | None:
        """Return the newest checkpoint that a witness has cosigned, or None."""
        with self._serving():
            size = await store.newest_cosigned_size(connection)
            if size is None:
                return None
            signed = self.key.sign(size, await self._proved_root(connection, size))
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
        with self._serving():
            root_hash = await self._proved_root(connection, size)
        # Compared as a whole: this log's checkpoints have no extension lines.
        if note.text != notes.Checkpoint(self.key.origin, size, root_hash).text:
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
        """Return the head, whose checkpoint the log has signed. Raises LogDamaged."""
        head = await store.read_head(connection)
        if head is None:
            raise LogDamaged("the log has no head")
        if head != self._signed:
            check_head(head, self.key)
            self._signed = head
        return head

    @contextmanager
    def _serving(self) -> Iterator[None]:
        """Raise Unavailable in place of LogDamaged, and tell of the damage."""
        try:
            yield
        except LogDamaged as damage:
            self._tiles.forget()
            log.critical("the log is not served: %s", damage)
            self._on_damage(damage)
            raise Unavailable("the log is damaged, and is not served now") from None

    # --- Proofs --------------------------------------------------------------

    async def tree_size(self, connection: AsyncConnection) -> int:
        """Return how many entries the latest checkpoint covers."""
        with self._serving():
            return (await self._head(connection)).tree_size

    async def consistency(
        self, connection: AsyncConnection, first_size: int, second_size: int
    ) -> list[bytes]:
        """Return the proof that the second tree, at most the latest, begins with the first."""
        with self._serving():
            second_root = await self._proved_root(connection, second_size)
            return await self._consistency(connection, first_size, second_size, second_root)

    async def _proved_root(self, connection: AsyncConnection, tree_size: int) -> bytes:
        """Return the root of a tree that the head's begins with. Raises LogDamaged."""
        head = await self._head(connection)
        if tree_size == head.tree_size:
            return head.root_hash
        root = await stored_root(self._tiles, connection, tree_size)
        await self._consistency(connection, tree_size, head.tree_size, head.root_hash)
        return root

    async def _consistency(
        self, connection: AsyncConnection, first_size: int, second_size: int, second_root: bytes
    ) -> list[bytes]:
        """Return a proof that verifies. Raises LogDamaged if the stored tree has none."""
        ranges = consistency_ranges(first_size, second_size)
        path = await self._tiles.range_hashes(connection, ranges, second_size)
        first_root = await stored_root(self._tiles, connection, first_size)
        try:
            merkle.verify_consistency(first_size, second_size, path, first_root, second_root)
        except merkle.ProofError:
            raise LogDamaged("a tile is not of the signed tree") from None
        return path

    async def prove_inclusion(
        self, connection: AsyncConnection, log_indexes: Sequence[int]
    ) -> list[InclusionProof]:
        """Return the proofs of entries, in order. Each of them verifies.

        All are against one checkpoint: the newest cosigned one, if it has all of the entries, so
        that they carry cosignatures, else the latest one.
        """
        with self._serving():
            return await self._prove_inclusion(connection, log_indexes)

    async def _prove_inclusion(
        self, connection: AsyncConnection, log_indexes: Sequence[int]
    ) -> list[InclusionProof]:
        head = await self._head(connection)
        size, root_hash = head.tree_size, head.root_hash
        checkpoint = head.checkpoint
        cosigned_size = await store.newest_cosigned_size(connection) if self.witnesses else None
        if cosigned_size is not None and max(log_indexes, default=0) < cosigned_size < size:
            size, root_hash = cosigned_size, await self._proved_root(connection, cosigned_size)
            checkpoint = self.key.sign(size, root_hash)
        checkpoint = await self._with_cosignatures(connection, size, checkpoint)
        entries = await store.read_some_entries(connection, log_indexes)
        if any(index not in entries or index >= size for index in log_indexes):
            raise LogDamaged("an entry is missing")
        paths = [inclusion_ranges(index, size) for index in log_indexes]
        hashes = iter(
            await self._tiles.range_hashes(
                connection, [each for path in paths for each in path], size
            )
        )
        proofs = [
            InclusionProof(
                index, entries[index].entry, tuple(next(hashes) for _ in path), checkpoint
            )
            for index, path in zip(log_indexes, paths, strict=True)
        ]
        for proof in proofs:
            leaf = merkle.leaf_hash(proof.entry)
            try:
                merkle.verify_inclusion(leaf, proof.log_index, size, proof.path, root_hash)
            except merkle.ProofError:
                raise LogDamaged("an entry or a tile is not of the signed tree") from None
        return proofs

    # --- Tiles ---------------------------------------------------------------

    async def tile(self, connection: AsyncConnection, tile: Tile) -> bytes | None:
        """Return the tile's hashes as they are served, None if the tree has not grown to it."""
        with self._serving():
            head = await self._head(connection)
            if tile.width > tile_width(tile.level, tile.index, head.tree_size):
                return None
            return b"".join(await self._tiles.read_proved(connection, tile, head))

    async def entries(self, connection: AsyncConnection, tile: Tile) -> bytes | None:
        """Return the entry bundle beside a tile of level 0, None if the tree has not grown to it:
        each entry behind its length in two bytes."""
        with self._serving():
            head = await self._head(connection)
            if tile.width > tile_width(0, tile.index, head.tree_size):
                return None
            start = tile.index * TILE_WIDTH
            entries = await store.read_entries(connection, start, start + tile.width)
            leaves = await self._tiles.read_proved(connection, tile, head)
            if [merkle.leaf_hash(each.entry) for each in entries] != leaves:
                raise LogDamaged("entries are missing, or are not of the signed tree")
            return b"".join(len(each.entry).to_bytes(2, "big") + each.entry for each in entries)


async def stored_root(tiles: StoredTiles, connection: AsyncConnection, tree_size: int) -> bytes:
    """Return the root of the stored tree of that size, not proved. Raises LogDamaged."""
    return (await tiles.range_hashes(connection, [(0, tree_size)], tree_size))[0]


def check_head(head: store.StoredHead, key: LogKey) -> None:
    """Raise LogDamaged unless the log has signed the head's checkpoint, and it is of its tree."""
    try:
        signed = notes.open_checkpoint(head.checkpoint, key.verifier)
    except notes.NoteError as error:
        raise LogDamaged(f"the stored checkpoint: {error}") from None
    if (signed.tree_size, signed.root_hash) != (head.tree_size, head.root_hash):
        raise LogDamaged("the stored tree is not the one that was signed")
