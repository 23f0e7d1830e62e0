"""Group commit: many callers' changes in one durable transaction, under one checkpoint.

Callers submit log entries together with the rows that belong to them. While
one group is being committed the next one gathers; when nothing is going on a
submission is committed at once. So an idle system answers in the time of one
flush, and a busy one pays for one flush, one signature and one statement per
table for hundreds of documents.

Every group locks the log's head row inside its transaction. Two replicas
therefore take turns, group by group, and neither leads: nothing has to be
taken over when one is killed, and the log cannot fork. What this process
remembers of the tree is compared with the locked row and brought up to it
first, and nothing is signed that does not extend what was signed before.

The interface, for the domain above it:

    sequencer = Sequencer(database, log_key=..., clock=..., ...)
    await sequencer.start()             # checks the stored head; raises LogDamaged
    committed = await sequencer.submit(
        [entry],                        # canonical JSON leaves, see log.encode_entry
        rows=[Rows(documents, [{"name": ..., "log_index": 0, ...}], index_column="log_index")],
        apply=change,                   # optional: SQL that no bulk insert can say
    )
    committed.indexes, committed.checkpoint, committed.time, committed.value
    await sequencer.close()             # commits what was submitted, then stops

rows: bulk inserts, merged over the whole group into one executemany per table,
    tables in the order of their first appearance in the metadata's dependency order (so
    that foreign keys hold). In a row the value under index_column is the
    position of one of the submission's own entries; the entry's log index is
    put in its place. All rows of one table must have the same keys.
apply: `async def change(connection, indexes) -> T`, run after the submission's
    rows in the same transaction. It must use nothing but the connection, and
    may run more than once (a group that fails as a whole is run again one by
    one). What it raises undoes this submission alone, entries and rows, and
    goes to its caller; so does an IntegrityError of its rows
    (sqlalchemy.exc.IntegrityError: read what is there and answer from it).
No entries is allowed: a change that shares the group's transaction.

Many submissions cost little: a batch of 100 documents is best submitted as 100
submissions with asyncio.gather, so that each fails by itself, with rows and
without apply wherever the check can be a unique constraint.

Contents are stored before, by `await contents.put_many([...])`, which groups
the callers' contents in the same manner (see contents.py); the references come
back and go into rows: Rows(tables.contents, [reference.row(document_name)]).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

from sqlalchemy import Table
from sqlalchemy.ext.asyncio import AsyncConnection

T = TypeVar("T")

Apply = Callable[[AsyncConnection, Sequence[int]], Awaitable[T]]


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of one table for the group's bulk insert."""

    table: Table
    rows: Sequence[Mapping[str, Any]]
    # The column whose value is a position among the submission's entries, to
    # be replaced by that entry's log index.
    index_column: str | None = None


@dataclass(frozen=True, slots=True)
class Committed(Generic[T]):
    """What became of a submission, once it is durable."""

    # What apply returned; None without one.
    value: T
    # The log indexes of the entries, in their order.
    indexes: tuple[int, ...]
    # The signed note over the tree that ends with this group.
    checkpoint: bytes
    tree_size: int
    # When the group was put in order, by the injected clock.
    time: datetime


class Sequencer:
    """The only writer of the log."""

    async def start(self) -> None:
        """Returns once the stored log is found to be what was signed. Raises LogDamaged."""
        raise NotImplementedError

    async def submit(
        self,
        entries: Sequence[bytes],
        apply: Apply[T] | None = None,
        *,
        rows: Sequence[Rows] = (),
    ) -> Committed[T]:
        """The submission's place in the log, once it is durable.

        Raises what apply raises, IntegrityError of the rows, ValueError for an
        entry over MAX_ENTRY_BYTES, ResourceExhausted when too much waits, and
        Unavailable when the database does not answer or the log is damaged.
        """
        raise NotImplementedError

    async def close(self) -> None:
        """Returns once everything submitted is committed and the work has stopped."""
        raise NotImplementedError
