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

    sequencer = Sequencer(database, log_key, kept=KeptCheckpoint(objects, log_key), clock=clock)
    await sequencer.start()             # checks the stored head; raises LogDamaged
    committed = await sequencer.submit(
        [entry],                        # canonical JSON leaves, see log.encode_entry
        rows=[Rows(documents, [{"name": ..., "log_index": 0, ...}], index_column="log_index")],
        apply=change,                   # optional: SQL that no bulk insert can say
    )
    committed.indexes, committed.checkpoint, committed.time, committed.value
    outcomes = await sequencer.submit_many([Submission([entry], rows=[...]), ...])
    await sequencer.close()             # commits what was submitted, then stops

rows: bulk inserts, merged over the whole group into one executemany per table,
    in the tables' order of dependency (so that foreign keys hold). In a row the
    value under index_column is the
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
submissions with submit_many, so that each fails by itself, with rows and
without apply wherever the check can be a unique constraint.

Contents are stored before, by `await contents.put_many([...])`, which groups
the callers' contents in the same manner (see contents.py); the references come
back and go into rows: Rows(tables.contents, [reference.row(document_name)]).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any, Generic, TypeVar

from sqlalchemy import Table, insert
from sqlalchemy.exc import (
    DBAPIError,
    IntegrityError,
    InterfaceError,
    InternalError,
    OperationalError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection

from qagazsyz import merkle
from qagazsyz.receipts import ENTRY_LIMIT_BYTES
from services.registry.log import store
from services.registry.log.kept_checkpoint import KeptCheckpoint
from services.registry.log.signed_tree import SignedTree
from services.registry.log.store import StoredHead
from services.registry.log.tiles import Edge
from services.registry.log.transparency_log import LogDamaged, LogKey
from services.registry.tables import metadata
from services.runtime.clock import Clock, system_clock
from services.runtime.errors import ResourceExhausted, Unavailable
from services.runtime.storage.database import Database, is_retryable

log = logging.getLogger(__name__)

T = TypeVar("T")

Apply = Callable[[AsyncConnection, Sequence[int]], Awaitable[T]]

# One transaction's worth: some hundred milliseconds of statements at most, so that a single
# document never waits long behind a flood of batches.
GROUP_SUBMISSIONS = 1_000
# Under load - the last group had several callers - the next one gathers for this long, or until
# so many submissions wait: callers who were just answered come again within it.
GATHER_SECONDS = 0.010
GATHERED_SUBMISSIONS = 64
# What waits beyond this is refused: it would wait for seconds.
WAITING_SUBMISSIONS = 10_000
RETRY_AFTER_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of one table for the group's bulk insert."""

    table: Table
    rows: Sequence[Mapping[str, Any]]
    # The column whose value is a position among the submission's entries, to
    # be replaced by that entry's log index.
    index_column: str | None = None

    def at(self, first_index: int) -> Sequence[Mapping[str, Any]]:
        """The rows with their log indexes."""
        if self.index_column is None:
            return self.rows
        column = self.index_column
        return [{**row, column: first_index + row[column]} for row in self.rows]


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


@dataclass(frozen=True, slots=True)
class Submission:
    """Entries and what belongs to them: all of it is committed, or none."""

    entries: Sequence[bytes]
    rows: Sequence[Rows] = ()
    apply: Apply[Any] | None = None


@dataclass(frozen=True, slots=True)
class _Waiting:
    """What one caller has submitted and waits for."""

    submissions: Sequence[Submission]
    done: asyncio.Future[list[Committed[Any] | Exception]]


@dataclass(slots=True)
class _Outcome:
    """What a transaction has done for one submission."""

    value: Any = None
    indexes: tuple[int, ...] = ()
    error: Exception | None = None


@dataclass(slots=True)
class _Written:
    """What a group's transaction has written, true once it is committed."""

    edge: Edge
    head: StoredHead
    time: datetime
    outcomes: list[_Outcome] = field(default_factory=list)


class _GroupFailed(Exception):
    """One of several submissions failed: the group must be run one by one."""


class Sequencer:
    """The only writer of the log."""

    def __init__(
        self,
        database: Database,
        log_key: LogKey,
        *,
        kept: KeptCheckpoint,
        clock: Clock = system_clock,
    ) -> None:
        self._database = database
        self._tree = SignedTree(log_key)
        self._kept = kept
        self._clock = clock
        self._damage: LogDamaged | None = None
        self._waiting: list[_Waiting] = []
        # Submissions in there.
        self._waiting_count = 0
        self._submitted = asyncio.Event()
        self._gathered = asyncio.Event()
        self._closing = False
        self._work: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Returns once the stored log is found to be what was signed. Raises LogDamaged."""
        kept = await self._kept.read()

        async def open_tree(connection: AsyncConnection) -> tuple[StoredHead, Edge]:
            return await self._tree.open(connection, kept)

        try:
            head, edge = await self._database.run(open_tree)
        except IntegrityError:
            # Another replica, starting at the same moment, made the first head.
            head, edge = await self._database.run(open_tree)
        self._tree.remember(head, edge)
        self._kept.note(head.checkpoint)
        self._work = asyncio.create_task(self._commit_groups())

    async def submit(
        self,
        entries: Sequence[bytes],
        apply: Apply[T] | None = None,
        *,
        rows: Sequence[Rows] = (),
    ) -> Committed[T]:
        """The submission's place in the log, once it is durable.

        Raises what apply raises, IntegrityError of the rows, ValueError for an
        entry over ENTRY_LIMIT_BYTES, ResourceExhausted when too much waits, and
        Unavailable when the database does not answer or the log is damaged.
        """
        (outcome,) = await self.submit_many([Submission(entries, rows, apply)])
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def submit_many(
        self, submissions: Sequence[Submission]
    ) -> list[Committed[Any] | Exception]:
        """What became of each, in order, once those that were committed are durable.

        An error of one - what submit raises from the database or from apply - stands in its place.
        Raises ValueError and ResourceExhausted for all, before anything is done.
        """
        if not submissions:
            return []
        if any(len(entry) > ENTRY_LIMIT_BYTES for each in submissions for entry in each.entries):
            raise ValueError(f"a log entry has at most {ENTRY_LIMIT_BYTES} bytes")
        if self._work is None or self._closing:
            raise Unavailable("the registry is not taking changes now")
        if self._waiting_count >= WAITING_SUBMISSIONS:
            raise ResourceExhausted("too many changes are waiting", RETRY_AFTER_SECONDS)
        waiting = _Waiting(submissions, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        self._waiting_count += len(submissions)
        self._submitted.set()
        if self._waiting_count >= GATHERED_SUBMISSIONS:
            self._gathered.set()
        return await waiting.done

    async def close(self) -> None:
        """Returns once everything submitted is committed and the work has stopped."""
        self._closing = True
        self._submitted.set()
        self._gathered.set()
        if self._work is not None:
            await self._work
        await self._kept.close()

    # --- Groups --------------------------------------------------------------

    async def _commit_groups(self) -> None:
        under_load = False
        while self._waiting or not self._closing:
            if not self._waiting:
                self._submitted.clear()
                await self._submitted.wait()
                continue
            if under_load and not self._closing:
                await self._gather()
            group = self._take_group()
            under_load = len(group) > 1
            if group:
                await self._commit(group)

    def _take_group(self) -> list[_Waiting]:
        """Those who waited longest, as many as a transaction takes; one at least."""
        group: list[_Waiting] = []
        count = 0
        while self._waiting:
            size = len(self._waiting[0].submissions)
            if group and count + size > GROUP_SUBMISSIONS:
                break
            waiting = self._waiting.pop(0)
            self._waiting_count -= size
            # Whoever left before their turn submits nothing.
            if not waiting.done.done():
                group.append(waiting)
                count += size
        return group

    async def _gather(self) -> None:
        if self._waiting_count >= GATHERED_SUBMISSIONS:
            return
        self._gathered.clear()
        try:
            async with asyncio.timeout(GATHER_SECONDS):
                await self._gathered.wait()
        except TimeoutError:
            return

    async def _commit(self, group: Sequence[_Waiting]) -> None:
        """Commits the group, and answers each of its callers."""
        submissions = [each for waiting in group for each in waiting.submissions]
        try:
            written = await self._run(submissions)
        except Exception as error:
            # Whether it was committed may be unknown: the next group reads the head anyhow.
            is_callers = len(submissions) == 1 and _is_callers(error)
            if isinstance(error, LogDamaged):
                self._damage = error
                log.critical("nothing is signed any more: %s", error)
            elif not is_callers:
                log.error(
                    "a group of %d was not committed: %s", len(submissions), type(error).__name__
                )
            if not is_callers:
                error = Unavailable("the registry cannot commit changes now")
            for waiting in group:
                if not waiting.done.done():
                    waiting.done.set_result([error] * len(waiting.submissions))
            return
        self._tree.remember(written.head, written.edge)
        self._kept.note(written.head.checkpoint)
        outcomes = iter(written.outcomes)
        for waiting in group:
            results = [_result(next(outcomes), written) for _ in waiting.submissions]
            if not waiting.done.done():
                waiting.done.set_result(results)

    async def _run(self, group: Sequence[Submission]) -> _Written:
        if self._damage is not None:
            raise self._damage
        try:
            return await self._database.run(
                lambda connection: self._write(connection, group, self._write_together)
            )
        except _GroupFailed:
            return await self._database.run(
                lambda connection: self._write(connection, group, self._write_one_by_one)
            )

    async def _write(
        self,
        connection: AsyncConnection,
        group: Sequence[Submission],
        write_submissions: Callable[
            [AsyncConnection, Sequence[Submission], int], Awaitable[list[_Outcome]]
        ],
    ) -> _Written:
        """All of a group's statements, in the transaction that the caller commits."""
        head, edge = await self._tree.lock(connection)
        first_index = edge.tree_size
        time = self._clock()
        outcomes = await write_submissions(connection, group, first_index)
        entries = [
            (merkle.leaf_hash(entry), entry)
            for submission, outcome in zip(group, outcomes, strict=True)
            if outcome.error is None
            for entry in submission.entries
        ]
        if entries:
            tiles = edge.append(leaf_hash for leaf_hash, _ in entries)
            await store.insert_entries(connection, first_index, entries)
            if tiles:
                await store.insert_tiles(connection, tiles)
            head = self._tree.sign(edge)
            await store.write_head(connection, head)
        return _Written(edge, head, time, outcomes)

    async def _write_together(
        self, connection: AsyncConnection, group: Sequence[Submission], first_index: int
    ) -> list[_Outcome]:
        """All submissions as one. Raises _GroupFailed where one of several fails."""
        outcomes: list[_Outcome] = []
        for submission in group:
            stop = first_index + len(submission.entries)
            outcomes.append(_Outcome(indexes=tuple(range(first_index, stop))))
            first_index = stop
        try:
            await _insert_rows(connection, group, outcomes)
            for submission, outcome in zip(group, outcomes, strict=True):
                if submission.apply is not None:
                    outcome.value = await submission.apply(connection, outcome.indexes)
        except Exception as error:
            if len(group) == 1 or not _is_callers(error):
                raise
            raise _GroupFailed from error
        return outcomes

    async def _write_one_by_one(
        self, connection: AsyncConnection, group: Sequence[Submission], first_index: int
    ) -> list[_Outcome]:
        """Each submission under its own savepoint; those that fail leave nothing."""
        outcomes: list[_Outcome] = []
        for submission in group:
            stop = first_index + len(submission.entries)
            outcome = _Outcome(indexes=tuple(range(first_index, stop)))
            try:
                async with connection.begin_nested():
                    await _insert_rows(connection, [submission], [outcome])
                    if submission.apply is not None:
                        outcome.value = await submission.apply(connection, outcome.indexes)
            except Exception as error:
                if not _is_callers(error):
                    raise
                outcome = _Outcome(error=error)
            else:
                first_index = stop
            outcomes.append(outcome)
        return outcomes


async def _insert_rows(
    connection: AsyncConnection, group: Sequence[Submission], outcomes: Sequence[_Outcome]
) -> None:
    """Every submission's rows, one statement a table, in the tables' order of dependency."""
    merged: dict[Table, list[Mapping[str, Any]]] = {}
    for submission, outcome in zip(group, outcomes, strict=True):
        first_index = outcome.indexes[0] if outcome.indexes else 0
        for rows in submission.rows:
            merged.setdefault(rows.table, []).extend(rows.at(first_index))
    for table in sorted(merged, key=_order().__getitem__):
        if merged[table]:
            await connection.execute(insert(table), merged[table])


@cache
def _order() -> dict[Table, int]:
    """The tables' order of dependency, which does not change once they are all declared."""
    return {table: place for place, table in enumerate(metadata.sorted_tables)}


def _result(outcome: _Outcome, written: _Written) -> Committed[Any] | Exception:
    if outcome.error is not None:
        return outcome.error
    return Committed(
        value=outcome.value,
        indexes=outcome.indexes,
        checkpoint=written.head.checkpoint,
        tree_size=written.head.tree_size,
        time=written.time,
    )


def _is_callers(error: Exception) -> bool:
    """Whether the error is one submission's own, and not the database's or the log's."""
    if isinstance(error, DBAPIError) and (error.connection_invalidated or is_retryable(error)):
        return False
    return not isinstance(
        error,
        LogDamaged | OperationalError | InterfaceError | InternalError | PoolTimeout | OSError,
    )
