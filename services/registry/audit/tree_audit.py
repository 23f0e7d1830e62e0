"""Is the tree the one that was signed?

Every entry is hashed again, and every tile and root computed again and compared with the stored
ones. The head, the kept checkpoint, the cosigned one and any that the auditor brings along must be
of this tree: a database restored from an old backup is older than one of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from qagazsyz import merkle, notes
from qagazsyz.receipts import MalformedReceipt, parse_entry
from services.registry.audit.differences import Difference, DifferenceKind
from services.registry.log import store
from services.registry.log.store import Cosignature, StoredEntry
from services.registry.log.tiles import TILE_WIDTH, Edge, Tile, full_tiles

# A checkpoint, and its name in the report.
_Named = tuple[str, notes.Checkpoint]


async def check_tree(
    connection: AsyncConnection,
    key: notes.VerifierKey,
    *,
    kept: bytes | None,
    seen: Sequence[bytes],
) -> tuple[int, list[Difference]]:
    """Return the number of signed entries, and every difference of the tree."""
    audit = _TreeAudit(connection, key)
    await audit.run(kept, seen)
    return audit.size, audit.differences


class _TreeAudit:
    def __init__(self, connection: AsyncConnection, key: notes.VerifierKey) -> None:
        self.differences: list[Difference] = []
        # Entries of the signed tree.
        self.size = 0
        self._connection = connection
        self._key = key

    def _differs(self, kind: DifferenceKind, where: str, what: str) -> None:
        self.differences.append(Difference(kind, where, what))

    async def run(self, kept: bytes | None, seen: Sequence[bytes]) -> None:
        stored = await store.count_entries(self._connection)
        head = await store.read_head(self._connection)
        checkpoints = [] if kept is None else self._open("kept checkpoint", kept)
        for number, each in enumerate(seen, 1):
            checkpoints += self._open(f"checkpoint {number} of those seen", each)
        if head is None:
            if stored or checkpoints:
                self._differs(DifferenceKind.HEAD, "head", "is missing, and yet there was a log")
            return
        signed = self._open("head", head.checkpoint)
        checkpoints += signed
        for _, checkpoint in signed:
            if (checkpoint.tree_size, checkpoint.root_hash) != (head.tree_size, head.root_hash):
                what = "is not the tree of its own checkpoint"
                self._differs(DifferenceKind.HEAD, "head", what)
        # The checkpoint is signed; the head's other columns are a copy.
        self.size = signed[0][1].tree_size if signed else head.tree_size
        if stored > self.size:
            where = f"entries from {self.size}"
            self._differs(DifferenceKind.ENTRY, where, "were never signed")
        cosignatures = await self._newest_cosignatures()
        sizes = {checkpoint.tree_size for _, checkpoint in checkpoints}
        roots = await self._recompute(sizes | {each.tree_size for each in cosignatures})
        self._check_checkpoints(checkpoints, roots)
        for cosignature in cosignatures:
            self._check_cosignature(cosignature, roots[cosignature.tree_size])

    # --- Checkpoints ---------------------------------------------------------

    def _open(self, where: str, data: bytes) -> list[_Named]:
        """Return the checkpoint in a note of the log's, or report why there is none."""
        try:
            return [(where, notes.open_checkpoint(data, self._key))]
        except notes.NoteError as error:
            self._differs(DifferenceKind.CHECKPOINT, where, str(error))
            return []

    def _check_checkpoints(self, checkpoints: Sequence[_Named], roots: dict[int, bytes]) -> None:
        for where, checkpoint in checkpoints:
            if checkpoint.tree_size > self.size:
                what = f"is newer ({checkpoint.tree_size} entries) than the stored log"
                self._differs(DifferenceKind.CHECKPOINT, where, what)
            elif roots[checkpoint.tree_size] != checkpoint.root_hash:
                self._differs(DifferenceKind.CHECKPOINT, where, "is not of the stored tree")

    async def _newest_cosignatures(self) -> list[Cosignature]:
        """Return the cosignatures over the largest cosigned tree, if it is not beyond the log."""
        size = await store.newest_cosigned_size(self._connection)
        if size is None:
            return []
        if size > self.size:
            what = f"is newer ({size} entries) than the stored log"
            self._differs(DifferenceKind.CHECKPOINT, "newest cosignature", what)
            return []
        return await store.read_cosignatures(self._connection, size)

    def _check_cosignature(self, cosignature: Cosignature, root: bytes) -> None:
        size = cosignature.tree_size
        text = notes.Checkpoint(self._key.name, size, root).text
        try:
            witness = notes.VerifierKey.parse(cosignature.witness)
            note = notes.Note.parse(f"{text}\n{cosignature.line}".encode())
            is_valid = witness in note.verify([witness])
        except notes.NoteError:
            is_valid = False
        if not is_valid:
            name = cosignature.witness.partition("+")[0]
            where = f"cosignature of {name} over {size} entries"
            self._differs(DifferenceKind.CHECKPOINT, where, "is not over the stored tree")

    # --- Entries and tiles ---------------------------------------------------

    async def _recompute(self, sizes: Collection[int]) -> dict[int, bytes]:
        """Compute the tree again, tile by tile, and compare it; return the roots at those sizes."""
        roots: dict[int, bytes] = {0: merkle.EMPTY_ROOT}
        edge = Edge()
        for start in range(0, self.size, TILE_WIDTH):
            stop = min(start + TILE_WIDTH, self.size)
            leaves = await self._read_leaves(start, stop)
            for size in sorted({stop, *(each for each in sizes if start < each < stop)}):
                full = edge.append(leaves[edge.tree_size - start : size - start])
                if size in sizes:
                    roots[size] = edge.root()
                for tile, root, hashes in full:
                    await self._check_tile(tile, root, hashes)
        for tile in await store.last_full_tiles(self._connection):
            if full_tiles(tile.level, self.size) <= tile.index:
                self._differs(DifferenceKind.TILE, _name_of(tile), "was never signed")
        return roots

    async def _read_leaves(self, start: int, stop: int) -> list[bytes]:
        """Return the leaf hashes of a tile's place, by the majority of entry, column and tile."""
        entries = {
            each.log_index: each for each in await store.read_entries(self._connection, start, stop)
        }
        place = Tile(0, start // TILE_WIDTH)
        tiled: Sequence[bytes] = ()
        if stop - start == TILE_WIDTH:
            found_tiles = await store.read_full_tiles(self._connection, [place])
            tiled, _ = found_tiles.get(place, ((), b""))
        leaves: list[bytes] = []
        for index in range(start, stop):
            votes: Counter[bytes] = Counter()
            if index < start + len(tiled):
                votes[tiled[index - start]] += 1
            found = entries.get(index)
            if found is None:
                self._differs(DifferenceKind.ENTRY, f"entry {index}", "is missing")
            else:
                votes[found.leaf_hash] += 1
                votes[merkle.leaf_hash(found.entry)] += 1
            leaf = votes.most_common(1)[0][0] if votes else merkle.EMPTY_ROOT
            if found is not None:
                self._check_entry(found, leaf)
            leaves.append(leaf)
        return leaves

    def _check_entry(self, found: StoredEntry, leaf: bytes) -> None:
        where = f"entry {found.log_index}"
        if merkle.leaf_hash(found.entry) != leaf:
            self._differs(DifferenceKind.ENTRY, where, "was changed")
            return
        if found.leaf_hash != leaf:
            self._differs(DifferenceKind.ENTRY, where, "its stored hash was changed")
        try:
            parse_entry(found.entry)
        except MalformedReceipt as error:
            self._differs(DifferenceKind.ENTRY, where, str(error))

    async def _check_tile(self, tile: Tile, root: bytes, hashes: bytes) -> None:
        stored = (await store.read_full_tiles(self._connection, [tile])).get(tile)
        if stored is None:
            self._differs(DifferenceKind.TILE, _name_of(tile), "is missing")
            return
        stored_hashes, stored_root = stored
        if b"".join(stored_hashes) != hashes:
            self._differs(DifferenceKind.TILE, _name_of(tile), "is not the one of the entries")
        if stored_root != root:
            self._differs(DifferenceKind.TILE, _name_of(tile), "its stored root was changed")


def _name_of(tile: Tile) -> str:
    return f"tile {tile.level}/{tile.index}"
