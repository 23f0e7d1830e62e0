"""The tree that was signed last, remembered by this process and compared with the stored one.

A new tree is signed only if it extends the one signed before: an appender locks the stored head
first, and gets the right edge that belongs to it, or LogDamaged.
"""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncConnection

from qagazsyz import notes
from services.registry.log import store
from services.registry.log.store import StoredHead
from services.registry.log.stored_tiles import LogDamaged, StoredTiles
from services.registry.log.tiles import Edge
from services.registry.log.transparency_log import LogKey, check_head, stored_root

# The lock of a replica that was killed ends at once. One whose machine died or hangs loses it after
# this long, so that the others commit again within five seconds.
LOCK_SECONDS = 4
# An edge that is further behind is read anew, instead of being caught up leaf by leaf.
CATCH_UP_LEAVES = 2_000


class SignedTree:
    """The head and the right edge of the log, as this process committed or read them last."""

    def __init__(self, key: LogKey) -> None:
        self._key = key
        self._tiles = StoredTiles()
        self._head: StoredHead | None = None
        self._edge = Edge()

    async def open(
        self, connection: AsyncConnection, kept: notes.Checkpoint | None
    ) -> tuple[StoredHead, Edge]:
        """Return the stored head and its edge; make the first head where there is no log yet.

        kept: a checkpoint that was signed before, from outside the database. Raises LogDamaged, and
        HeadExists if another replica made the first head.
        """
        head = await store.read_head(connection, lock=True)
        if head is None:
            if kept is not None or await store.count_entries(connection):
                raise LogDamaged("the log has no head, and yet there was a log")
            head = self.sign(Edge())
            await store.create_head(connection, head)
        edge = await self._read_edge(connection, head)
        if kept is not None:
            await self._check_extends(connection, head, kept.tree_size, kept.root_hash)
        return head, edge

    async def lock(self, connection: AsyncConnection) -> tuple[StoredHead, Edge]:
        """Lock the head until the transaction ends; return it, and a copy of its edge to append to.

        Raises LogDamaged if the stored log does not extend the one that was signed.
        """
        await store.limit_idleness(connection, LOCK_SECONDS)
        head = await store.read_head(connection, lock=True)
        known = self._head
        if head is None or known is None:
            raise LogDamaged("the log has no head")
        if head == known:
            return head, self._edge.copy()
        # Another replica has committed, or this process did not learn how a commit ended.
        if not known.tree_size < head.tree_size <= known.tree_size + CATCH_UP_LEAVES:
            edge = await self._read_edge(connection, head)
            await self._check_extends(connection, head, known.tree_size, known.root_hash)
            return head, edge
        edge = self._edge.copy()
        edge.append(await store.read_leaf_hashes(connection, edge.tree_size, head.tree_size))
        self._check(head, edge)
        return head, edge

    def sign(self, edge: Edge) -> StoredHead:
        """Sign the tree with that edge; the head counts once it is stored and committed."""
        root = edge.root()
        return StoredHead(edge.tree_size, root, self._key.sign(edge.tree_size, root))

    def remember(self, head: StoredHead, edge: Edge) -> None:
        """Keep the head and edge that were committed."""
        self._head, self._edge = head, edge

    async def _read_edge(self, connection: AsyncConnection, head: StoredHead) -> Edge:
        try:
            edge = await store.read_edge(connection, head.tree_size)
        except ValueError:
            raise LogDamaged("parts of the stored tree are missing") from None
        self._check(head, edge)
        return edge

    def _check(self, head: StoredHead, edge: Edge) -> None:
        """Raise LogDamaged unless head, checkpoint and edge are one tree, signed by the log."""
        check_head(head, self._key)
        if (head.tree_size, head.root_hash) != (edge.tree_size, edge.root()):
            raise LogDamaged("the stored tree is not the one that was signed")

    async def _check_extends(
        self, connection: AsyncConnection, head: StoredHead, tree_size: int, root_hash: bytes
    ) -> None:
        """Raise LogDamaged unless the stored tree begins with the one that was signed before."""
        if head.tree_size < tree_size:
            raise LogDamaged("the stored log is older than a checkpoint that was signed")
        if await stored_root(self._tiles, connection, tree_size) != root_hash:
            raise LogDamaged("the stored log is not the one that was signed before")
