"""Group commit: the changes of many callers in one durable transaction, under one checkpoint.

While a group is being committed, new submissions queue and are committed together in the next one;
when nothing is being committed, a submission is committed at once. So an idle registry answers in
the time of one flush, and a busy one pays for one flush, one signature and one statement a table
for hundreds of documents. The cost: a submission may wait for the group ahead of it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from qagazsyz.receipts import ENTRY_LIMIT_BYTES
from services.registry.log.group_commit import (
    Apply,
    GroupFailed,
    GroupWriter,
    Outcome,
    Submission,
    WrittenGroup,
    submission_error,
)
from services.registry.log.kept_checkpoint import KeptCheckpoint
from services.registry.log.signed_tree import SignedTree
from services.registry.log.store import HeadExists, Rows, StoredHead
from services.registry.log.stored_tiles import LogDamaged
from services.registry.log.tiles import Edge
from services.registry.log.transparency_log import LogKey
from services.runtime.concurrency.batching import Batch, PendingQueue
from services.runtime.errors import ResourceExhausted, Unavailable
from services.runtime.storage.database import Database

log = logging.getLogger(__name__)

# One transaction's worth: some hundred milliseconds of statements at most, so that a single
# document never waits long behind a flood of batches.
GROUP_LIMIT = 1_000
# Under load - the last group had several callers - the next group waits for this long, or until
# so many submissions queue: the callers just answered submit again within it.
FILL_SECONDS = 0.010
FILL_SUBMISSIONS = 64
# Submissions beyond this are refused: they would wait for seconds.
QUEUE_LIMIT = 10_000
RETRY_AFTER_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Committed:
    """A submission that is durable."""

    # The log indexes of the entries, in their order.
    indexes: tuple[int, ...]
    # The signed note over the tree that ends with this group.
    checkpoint: bytes
    tree_size: int


class Sequencer:
    """The only writer of the log.

    Replicas on one database each have one. Every group locks the log's head row, so that they take
    turns, group by group, without a leader: when one is killed, the others go on. Nothing is signed
    that does not extend the tree that was signed before (signed_tree.py).
    """

    def __init__(self, database: Database, log_key: LogKey, *, kept: KeptCheckpoint) -> None:
        self._database = database
        self._tree = SignedTree(log_key)
        self._writer = GroupWriter(self._tree)
        self._kept = kept
        self._damage: LogDamaged | None = None
        self._queue: PendingQueue[Submission, Committed | Exception] = PendingQueue(
            limit=GROUP_LIMIT
        )
        self._submitted = asyncio.Event()
        self._filled = asyncio.Event()
        self._closing = False
        self._work: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Check that the stored log is the one that was signed, then take submissions.

        Raises LogDamaged.
        """
        kept = await self._kept.read()

        async def open_tree(connection: AsyncConnection) -> tuple[StoredHead, Edge]:
            return await self._tree.open(connection, kept)

        try:
            head, edge = await self._database.run(open_tree)
        except HeadExists:
            # Another replica, starting at the same moment, made the first head.
            head, edge = await self._database.run(open_tree)
        self._tree.remember(head, edge)
        self._kept.note(head.checkpoint)
        self._work = asyncio.create_task(self._commit_groups())

    async def submit(
        self,
        entries: Sequence[bytes],
        apply: Apply | None = None,
        *,
        rows: Sequence[Rows] = (),
    ) -> Committed:
        """Return the submission's place in the log, once it is durable.

        Raises what apply raises, Conflict of the rows, ValueError for an entry over
        ENTRY_LIMIT_BYTES, ResourceExhausted when too much is queued, and Unavailable when the
        database does not answer or the log is damaged.
        """
        (outcome,) = await self.submit_many([Submission(entries, rows, apply)])
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def submit_many(self, submissions: Sequence[Submission]) -> list[Committed | Exception]:
        """Return the outcome of each submission, in order, once those that succeed are durable.

        Each fails by itself, with the exception that submit would raise in its place; it costs
        little, as long as it has rows without apply. Raises ValueError and ResourceExhausted for
        all, before anything is done.
        """
        if not submissions:
            return []
        if any(len(entry) > ENTRY_LIMIT_BYTES for each in submissions for entry in each.entries):
            raise ValueError(f"a log entry has at most {ENTRY_LIMIT_BYTES} bytes")
        if self._work is None or self._closing:
            raise Unavailable("the registry is starting or shutting down")
        if self._queue.weight >= QUEUE_LIMIT:
            raise ResourceExhausted("too many changes are queued", RETRY_AFTER_SECONDS)
        outcomes = self._queue.add(submissions)
        self._submitted.set()
        if self._queue.weight >= FILL_SUBMISSIONS:
            self._filled.set()
        return await outcomes

    def stop_signing(self, damage: LogDamaged) -> None:
        """Refuse every group from now on: a reader met damage in the stored log."""
        self._damage = damage

    async def close(self) -> None:
        """Commit everything submitted, then stop."""
        self._closing = True
        self._submitted.set()
        self._filled.set()
        if self._work is not None:
            await self._work
        await self._kept.close()

    # --- Groups --------------------------------------------------------------

    async def _commit_groups(self) -> None:
        under_load = False
        while self._queue or not self._closing:
            if not self._queue:
                self._submitted.clear()
                await self._submitted.wait()
                continue
            if under_load and not self._closing:
                await self._fill()
            group = self._queue.take()
            under_load = len(group.callers) > 1
            if group.callers:
                await self._commit(group)

    async def _fill(self) -> None:
        """Wait until the queue holds FILL_SUBMISSIONS, FILL_SECONDS at most."""
        if self._queue.weight >= FILL_SUBMISSIONS:
            return
        self._filled.clear()
        try:
            async with asyncio.timeout(FILL_SECONDS):
                await self._filled.wait()
        except TimeoutError:
            return

    async def _commit(self, group: Batch[Submission, Committed | Exception]) -> None:
        """Commit the group, and answer each of its callers."""
        submissions = group.requests
        try:
            written = await self._write(submissions)
        except Exception as error:
            # It may have been committed all the same: the next group reads the head anyhow.
            told = self._failure(error, len(submissions))
            group.answer([told] * len(submissions))
            return
        self._tree.remember(written.head, written.edge)
        self._kept.note(written.head.checkpoint)
        group.answer([_answer(outcome, written) for outcome in written.outcomes])

    async def _write(self, group: Sequence[Submission]) -> WrittenGroup:
        if self._damage is not None:
            raise self._damage
        try:
            return await self._database.run(
                lambda connection: self._writer.write_together(connection, group)
            )
        except GroupFailed:
            return await self._database.run(
                lambda connection: self._writer.write_one_by_one(connection, group)
            )

    def _failure(self, error: Exception, submissions: int) -> Exception:
        """Return the error that the callers of a failed group get; log one that is not theirs."""
        own = submission_error(error) if submissions == 1 else None
        if own is not None:
            return own
        if isinstance(error, LogDamaged):
            self.stop_signing(error)
            log.critical("nothing is signed any more: %s", error)
        else:
            log.error("a group of %d was not committed: %s", submissions, type(error).__name__)
        return Unavailable("the registry cannot commit changes now")


def _answer(outcome: Outcome, written: WrittenGroup) -> Committed | Exception:
    if outcome.error is not None:
        return outcome.error
    return Committed(
        indexes=outcome.indexes,
        checkpoint=written.head.checkpoint,
        tree_size=written.head.tree_size,
    )
