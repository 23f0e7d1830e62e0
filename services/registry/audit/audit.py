"""Recomputes the log from what is stored, trusting only its key, and names every difference.

Four questions, in one snapshot of the database:

- Is the tree the one that was signed? Every entry is hashed again, every tile
  and root is computed again, and compared with what is stored; the head, the
  checkpoint kept beside the contents, witnesses' cosigned ones and any that the
  auditor brings along must be of this tree. A database restored from an old
  backup is found here: a checkpoint is newer than it.
- Does every record - document, consent, access - stand in the log as it stands
  in its table? Each makes its entries anew, and they are compared.
- Does every entry have its record? A row that was deleted, or a table that was
  rolled back, leaves entries that nothing claims.
- Is every content there, and the registered one?
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from qagazsyz import merkle, notes
from qagazsyz.receipts import MalformedReceipt, parse_entry
from services.registry import tables
from services.registry.contents.packs import ContentLost, Contents, object_key_of
from services.registry.contents.store import reference_of
from services.registry.log import store as log_store
from services.registry.log.kept_checkpoint import KEPT_CHECKPOINT
from services.registry.log.tiles import TILE_WIDTH, Edge, Tile, full_tiles
from services.runtime.storage.database import Database
from services.runtime.storage.object_store import ObjectMissing, ObjectStore

# Records whose entries are read at once.
_PAGE = 500


class Kind(StrEnum):
    """What a difference is about."""

    HEAD = "head"
    CHECKPOINT = "checkpoint"
    ENTRY = "entry"
    TILE = "tile"
    RECORD = "record"
    CONTENT = "content"


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not as it was signed. Names records and objects, never their contents."""

    kind: Kind
    # "entry 12", "tile 0/3", "documents/…", an object's key.
    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


@dataclass(frozen=True, slots=True)
class Record:
    """A row and the entry that it must stand in."""

    name: str
    log_index: int
    # What the entry must hold.
    members: Mapping[str, Any]
    # Whether it must hold nothing else; not so where an erasure destroyed the rest.
    exact: bool = True


Records = Callable[[AsyncConnection], AsyncIterator[Record]]


async def audit(
    database: Database,
    contents: Contents,
    objects: ObjectStore,
    key: notes.VerifierKey,
    *,
    records: Records,
    seen: Sequence[bytes] = (),
) -> list[Difference]:
    """Every difference, in the order of the questions above; none where all is well.

    records gives all rows that have entries (record_store.py); seen are checkpoints that
    somebody received from this log at any time.
    """
    auditing = _Audit(key)
    async with database.reading() as connection:
        if not database.is_sqlite:
            # SQLite reads one snapshot anyhow.
            await connection.execution_options(isolation_level="REPEATABLE READ")
        await auditing.check_tree(connection, await _read_kept(objects), seen)
        await auditing.check_records(connection, records)
        await auditing.check_contents(connection, contents, objects)
    return auditing.differences


async def _read_kept(objects: ObjectStore) -> bytes | None:
    try:
        return await objects.get(KEPT_CHECKPOINT)
    except ObjectMissing:
        return None


class _Audit:
    def __init__(self, key: notes.VerifierKey) -> None:
        self.differences: list[Difference] = []
        self._key = key
        # Entries of the tree, and a bit for each that a record claims.
        self._size = 0
        self._claimed = bytearray()

    def _differs(self, kind: Kind, where: str, what: str) -> None:
        self.differences.append(Difference(kind, where, what))

    # --- The tree ------------------------------------------------------------

    async def check_tree(
        self, connection: AsyncConnection, kept: bytes | None, seen: Sequence[bytes]
    ) -> None:
        stored = await log_store.count_entries(connection)
        head = await log_store.read_head(connection)
        checkpoints = self._open_all(
            [
                ("kept checkpoint", kept),
                *((f"checkpoint {i} of those seen", each) for i, each in enumerate(seen, 1)),
            ]
        )
        if head is None:
            if stored or checkpoints:
                self._differs(Kind.HEAD, "head", "is missing, and yet there was a log")
            return
        signed = self._open_all([("head", head.checkpoint)])
        checkpoints += signed
        for _, checkpoint in signed:
            if (checkpoint.tree_size, checkpoint.root_hash) != (head.tree_size, head.root_hash):
                self._differs(Kind.HEAD, "head", "is not the tree of its own checkpoint")
        # By what was signed, where that can be read: the other columns are only its copy.
        self._size = signed[0][1].tree_size if signed else head.tree_size
        if stored > self._size:
            self._differs(Kind.ENTRY, f"entries from {self._size}", "were never signed")
        cosigned = await self._read_cosigned(connection)
        roots = await self._check_leaves(
            connection, {*cosigned, *(checkpoint.tree_size for _, checkpoint in checkpoints)}
        )
        for where, checkpoint in checkpoints:
            if checkpoint.tree_size > self._size:
                what = f"is newer ({checkpoint.tree_size} entries) than the stored log"
                self._differs(Kind.CHECKPOINT, where, what)
            elif roots[checkpoint.tree_size] != checkpoint.root_hash:
                self._differs(Kind.CHECKPOINT, where, "is not of the stored tree")
        for size, cosignatures in cosigned.items():
            self._check_cosignatures(size, roots[size], cosignatures)

    def _open_all(
        self, notes_: Sequence[tuple[str, bytes | None]]
    ) -> list[tuple[str, notes.Checkpoint]]:
        checkpoints: list[tuple[str, notes.Checkpoint]] = []
        for where, data in notes_:
            if data is None:
                continue
            try:
                checkpoints.append((where, notes.open_checkpoint(data, self._key)))
            except notes.NoteError as error:
                self._differs(Kind.CHECKPOINT, where, str(error))
        return checkpoints

    async def _read_cosigned(
        self, connection: AsyncConnection
    ) -> dict[int, list[log_store.Cosignature]]:
        """The newest cosignatures: by size of their tree, witnesses and their lines."""
        size = await log_store.newest_cosigned_size(connection)
        if size is None:
            return {}
        if size > self._size:
            what = f"is newer ({size} entries) than the stored log"
            self._differs(Kind.CHECKPOINT, "newest cosignature", what)
            return {}
        cosignatures = await log_store.read_cosignatures(connection, size)
        return {size: cosignatures}

    def _check_cosignatures(
        self, size: int, root: bytes, cosignatures: Sequence[log_store.Cosignature]
    ) -> None:
        text = notes.Checkpoint(self._key.name, size, root).text
        for each in cosignatures:
            try:
                key = notes.VerifierKey.parse(each.witness)
                holds = key in notes.Note.parse(f"{text}\n{each.line}".encode()).verify([key])
            except notes.NoteError:
                holds = False
            if not holds:
                where = f"cosignature of {each.witness.partition('+')[0]} over {size} entries"
                self._differs(Kind.CHECKPOINT, where, "is not over the stored tree")

    async def _check_leaves(
        self, connection: AsyncConnection, sizes: Collection[int]
    ) -> dict[int, bytes]:
        """Computes the tree again, tile by tile, and compares it. Returns the roots at sizes."""
        roots: dict[int, bytes] = {0: merkle.EMPTY_ROOT}
        edge = Edge()
        for start in range(0, self._size, TILE_WIDTH):
            stop = min(start + TILE_WIDTH, self._size)
            leaves = await self._read_leaves(connection, start, stop)
            for size in sorted({stop, *(each for each in sizes if start < each < stop)}):
                full = edge.append(leaves[edge.tree_size - start : size - start])
                if size in sizes:
                    roots[size] = edge.root()
                for tile, root, hashes in full:
                    await self._check_tile(connection, tile, root, hashes)
        await self._check_surplus_tiles(connection)
        return roots

    async def _read_leaves(self, connection: AsyncConnection, start: int, stop: int) -> list[bytes]:
        """The leaf hashes of a tile's place, by the majority of entry, column and tile."""
        entries = {
            each.log_index: each for each in await log_store.read_entries(connection, start, stop)
        }
        place = Tile(0, start // TILE_WIDTH)
        tiled: Sequence[bytes] = ()
        if stop - start == TILE_WIDTH:
            tiled = (await log_store.read_full_tiles(connection, [place])).get(place, ())
        leaves: list[bytes] = []
        for index in range(start, stop):
            votes: Counter[bytes] = Counter()
            if index < start + len(tiled):
                votes[tiled[index - start]] += 1
            found = entries.get(index)
            if found is None:
                self._differs(Kind.ENTRY, f"entry {index}", "is missing")
            else:
                votes[found.leaf_hash] += 1
                votes[merkle.leaf_hash(found.entry)] += 1
            leaf = votes.most_common(1)[0][0] if votes else merkle.EMPTY_ROOT
            if found is not None:
                self._check_entry(found, leaf)
            leaves.append(leaf)
        return leaves

    def _check_entry(self, found: log_store.StoredEntry, leaf: bytes) -> None:
        where = f"entry {found.log_index}"
        if merkle.leaf_hash(found.entry) != leaf:
            self._differs(Kind.ENTRY, where, "was changed")
            return
        if found.leaf_hash != leaf:
            self._differs(Kind.ENTRY, where, "its stored hash was changed")
        try:
            parse_entry(found.entry)
        except MalformedReceipt as error:
            self._differs(Kind.ENTRY, where, str(error))

    async def _check_tile(
        self, connection: AsyncConnection, tile: Tile, root: bytes, hashes: bytes
    ) -> None:
        where = f"tile {tile.level}/{tile.index}"
        stored = (await log_store.read_full_tiles(connection, [tile])).get(tile)
        if stored is None:
            self._differs(Kind.TILE, where, "is missing")
            return
        if b"".join(stored) != hashes:
            self._differs(Kind.TILE, where, "is not the one of the entries")
        roots = await log_store.read_tile_roots(connection, tile.level, tile.index, tile.index + 1)
        if roots != [root]:
            self._differs(Kind.TILE, where, "its stored root was changed")

    async def _check_surplus_tiles(self, connection: AsyncConnection) -> None:
        for tile in await log_store.last_full_tiles(connection):
            if full_tiles(tile.level, self._size) <= tile.index:
                self._differs(Kind.TILE, f"tile {tile.level}/{tile.index}", "was never signed")

    # --- Records -------------------------------------------------------------

    async def check_records(self, connection: AsyncConnection, records: Records) -> None:
        self._claimed = bytearray(self._size // 8 + 1)
        page: list[Record] = []
        async for record in records(connection):
            page.append(record)
            if len(page) == _PAGE:
                await self._check_page(connection, page)
                page = []
        await self._check_page(connection, page)
        await self._check_unclaimed(connection)

    async def _check_page(self, connection: AsyncConnection, page: Sequence[Record]) -> None:
        entries = await log_store.read_some_entries(connection, [each.log_index for each in page])
        for record in page:
            found = entries.get(record.log_index)
            if found is None or record.log_index >= self._size:
                what = f"has no entry {record.log_index}"
                self._differs(Kind.RECORD, record.name, what)
                continue
            if self._is_claimed(record.log_index):
                what = f"claims entry {record.log_index}, which is another record's"
                self._differs(Kind.RECORD, record.name, what)
                continue
            self._claimed[record.log_index >> 3] |= 1 << (record.log_index & 7)
            try:
                entry = parse_entry(found.entry)
            except MalformedReceipt:
                continue  # Said already, with the entries.
            differing = [name for name in record.members if entry.get(name) != record.members[name]]
            if record.exact:
                differing += sorted(entry.keys() - record.members.keys())
            if differing:
                what = f"differs from entry {record.log_index} in {', '.join(differing)}"
                self._differs(Kind.RECORD, record.name, what)

    def _is_claimed(self, index: int) -> bool:
        return bool(self._claimed[index >> 3] & 1 << (index & 7))

    async def _check_unclaimed(self, connection: AsyncConnection) -> None:
        """Entries without a record: rows that were deleted or rolled back."""
        for start in range(0, self._size, _PAGE):
            stop = min(start + _PAGE, self._size)
            if all(self._is_claimed(index) for index in range(start, stop)):
                continue
            for found in await log_store.read_entries(connection, start, stop):
                if not self._is_claimed(found.log_index):
                    what = f"has no record ({_event_of(found.entry)})"
                    self._differs(Kind.ENTRY, f"entry {found.log_index}", what)

    # --- Contents ------------------------------------------------------------

    async def check_contents(
        self, connection: AsyncConnection, contents: Contents, objects: ObjectStore
    ) -> None:
        documents, stored = tables.documents, tables.contents
        missing = (
            select(documents.c.name)
            .where(
                documents.c.erase_time.is_(None),
                ~select(1).where(stored.c.document == documents.c.name).exists(),
            )
            .order_by(documents.c.name)
        )
        for name in (await connection.execute(missing)).scalars():
            self._differs(Kind.CONTENT, name, "its content's key is missing")
        # An object's contents one after the other, so that each object is read once.
        found = (
            select(documents.c.content_sha256, documents.c.erase_time, stored)
            .select_from(stored.outerjoin(documents, documents.c.name == stored.c.document))
            .order_by(stored.c.object_key, stored.c.position)
        )
        object_key, data = "", b""
        async for row in await connection.stream(found):
            if row.content_sha256 is None or row.erase_time is not None:
                self._differs(Kind.CONTENT, row.document, "its content's key should not be there")
                continue
            if row.object_key != object_key:
                object_key = row.object_key
                data = await self._read_object(objects, object_key)
            sealed = data[row.position : row.position + row.length]
            try:
                contents.open(reference_of(row), sealed, bytes(row.content_sha256))
            except ContentLost as lost:
                self._differs(Kind.CONTENT, row.document, f"its content in {lost}")

    async def _read_object(self, objects: ObjectStore, object_key: str) -> bytes:
        try:
            data = await objects.get(object_key)
        except ObjectMissing:
            self._differs(Kind.CONTENT, object_key, "is missing")
            return b""
        if object_key_of(data) != object_key:
            self._differs(Kind.CONTENT, object_key, "was changed")
        return data


def _event_of(entry: bytes) -> str:
    try:
        return str(parse_entry(entry).get("event", "no event"))
    except MalformedReceipt:
        return "unreadable"
