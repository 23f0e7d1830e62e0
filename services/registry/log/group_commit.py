"""One group's transaction: the entries of many submissions, and the rows that belong to them.

All submissions are written together first, with one statement a table, one signature and one flush
for hundreds of documents. If one of several fails, the transaction is undone and the group written
again, each submission behind a savepoint of its own: slower, and only the failing ones are left
out. The writer locks the log's head first, so that replicas take turns and the log cannot fork.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from qagazsyz import merkle
from services.registry.log import store
from services.registry.log.signed_tree import SignedTree
from services.registry.log.store import Rows, StoredHead
from services.registry.log.stored_tiles import LogDamaged
from services.registry.log.tiles import Edge
from services.runtime.storage.outages import is_conflict, is_unavailable

# A change in SQL that rows cannot express.
Apply = Callable[[AsyncConnection, Sequence[int]], Awaitable[None]]


class Conflict(Exception):
    """A row of the submission breaks a constraint: another of its key was committed before it, or a
    row that it refers to does not exist. Read the database to see which."""


class GroupFailed(Exception):
    """One of several submissions failed: write the group one by one."""


@dataclass(frozen=True, slots=True)
class Submission:
    """Entries, and the rows and the change that are committed with them or not at all.

    entries may be empty: a change that shares the group's transaction.
    apply: runs after the submission's rows in the same transaction, with the log indexes of its
    entries. It may use nothing but the connection, and may run more than once. What it raises
    undoes this submission alone, and goes to its caller.
    """

    entries: Sequence[bytes]
    rows: Sequence[Rows] = ()
    apply: Apply | None = None


@dataclass(slots=True)
class Outcome:
    """What the transaction did for one submission."""

    indexes: tuple[int, ...] = ()
    # Why the submission was left out: Conflict, or what apply raised.
    error: Exception | None = None


@dataclass(frozen=True, slots=True)
class WrittenGroup:
    """What a group's transaction wrote; it holds once the transaction is committed."""

    edge: Edge
    head: StoredHead
    outcomes: list[Outcome]


class GroupWriter:
    """Writes groups at the end of a tree. Its methods are run by Database.run."""

    def __init__(self, tree: SignedTree) -> None:
        self._tree = tree

    async def write_together(
        self, connection: AsyncConnection, group: Sequence[Submission]
    ) -> WrittenGroup:
        """Write all submissions, or none. Raises LogDamaged, what a single submission raises, and
        GroupFailed where one of several fails."""
        head, edge = await self._tree.lock(connection)
        outcomes: list[Outcome] = []
        next_index = edge.tree_size
        for submission in group:
            outcomes.append(_placed(submission, next_index))
            next_index += len(submission.entries)
        try:
            await _insert_rows(connection, group, outcomes)
            for submission, outcome in zip(group, outcomes, strict=True):
                if submission.apply is not None:
                    await submission.apply(connection, outcome.indexes)
        except Exception as error:
            if len(group) == 1 or submission_error(error) is None:
                raise
            raise GroupFailed from error
        head = await self._append(connection, head, edge, group)
        return WrittenGroup(edge, head, outcomes)

    async def write_one_by_one(
        self, connection: AsyncConnection, group: Sequence[Submission]
    ) -> WrittenGroup:
        """Write each submission behind its own savepoint; those that fail leave nothing. Raises
        LogDamaged, and errors that are not a submission's own."""
        head, edge = await self._tree.lock(connection)
        outcomes: list[Outcome] = []
        written: list[Submission] = []
        next_index = edge.tree_size
        for submission in group:
            outcome = _placed(submission, next_index)
            try:
                async with connection.begin_nested():
                    await _insert_rows(connection, [submission], [outcome])
                    if submission.apply is not None:
                        await submission.apply(connection, outcome.indexes)
            except Exception as error:
                own = submission_error(error)
                if own is None:
                    raise
                outcome = Outcome(error=own)
            else:
                written.append(submission)
                next_index += len(submission.entries)
            outcomes.append(outcome)
        head = await self._append(connection, head, edge, written)
        return WrittenGroup(edge, head, outcomes)

    async def _append(
        self,
        connection: AsyncConnection,
        head: StoredHead,
        edge: Edge,
        submissions: Sequence[Submission],
    ) -> StoredHead:
        """Append the submissions' entries to the edge, store them, and return the new head."""
        entries = [
            (merkle.leaf_hash(entry), entry)
            for submission in submissions
            for entry in submission.entries
        ]
        if not entries:
            return head
        await store.insert_entries(connection, edge.tree_size, entries)
        tiles = edge.append(leaf_hash for leaf_hash, _ in entries)
        if tiles:
            await store.insert_tiles(connection, tiles)
        head = self._tree.sign(edge)
        await store.write_head(connection, head)
        return head


def submission_error(error: Exception) -> Exception | None:
    """Return the error that a failing submission's caller gets; None for an error of the database
    or of the log, which says nothing about the submission."""
    if isinstance(error, LogDamaged) or is_unavailable(error):
        return None
    return Conflict() if is_conflict(error) else error


def _placed(submission: Submission, first_index: int) -> Outcome:
    return Outcome(indexes=tuple(range(first_index, first_index + len(submission.entries))))


async def _insert_rows(
    connection: AsyncConnection, group: Sequence[Submission], outcomes: Sequence[Outcome]
) -> None:
    """Insert every submission's rows, one statement a table."""
    await store.insert_rows(
        connection,
        [
            (outcome.indexes[0] if outcome.indexes else 0, rows)
            for submission, outcome in zip(group, outcomes, strict=True)
            for rows in submission.rows
        ],
    )
