"""Group commit: what callers get, and that two processes never fork the log."""

from __future__ import annotations

import asyncio
import itertools
from pathlib import Path

import pytest
from sqlalchemy import delete, func, select

from qagazsyz import notes
from qagazsyz.merkle import verify_consistency
from qagazsyz.receipts import verify_receipt
from services.registry import tables
from services.registry.log import store as log_store
from services.registry.log.sequencer import Committed
from services.runtime.errors import ResourceExhausted, Unavailable
from tests.unit.registry.ledger import entries, entry, opened


async def test_a_submission_gets_its_place_and_a_checkpoint_over_it(
    database_url: str, tmp_path: Path
) -> None:
    async with opened(database_url, tmp_path / "contents") as ledger:
        first = await ledger.sequencer.submit(entries(0, 2))
        second = await ledger.sequencer.submit(entries(2, 3))
        assert (first.indexes, second.indexes) == ((0, 1), (2,))
        assert (first.tree_size, second.tree_size) == (2, 3)
        checkpoint = notes.open_checkpoint(second.checkpoint, ledger.key.verifier)
        assert checkpoint.tree_size == 3
        receipt = await ledger.receipt(1)
        assert receipt.entry == entry(1)
        assert verify_receipt(receipt, ledger.key.verifier).entry["number"] == 1


async def test_submissions_at_once_share_few_checkpoints(database_url: str, tmp_path: Path) -> None:
    async with opened(database_url, tmp_path / "contents") as ledger:
        done = await asyncio.gather(
            *(ledger.sequencer.submit([entry(number)]) for number in range(200))
        )
        assert sorted(index for each in done for index in each.indexes) == list(range(200))
        assert len({each.tree_size for each in done}) <= 3


async def test_a_caller_who_left_before_the_commit_costs_nothing(
    database_url: str, tmp_path: Path
) -> None:
    async with opened(database_url, tmp_path / "contents") as ledger:
        leaving = asyncio.ensure_future(ledger.sequencer.submit([entry(1)]))
        staying = asyncio.ensure_future(ledger.sequencer.submit([entry(2)]))
        await asyncio.sleep(0)
        leaving.cancel()
        assert (await staying).tree_size == 1


async def test_the_tree_goes_on_after_a_restart(database_url: str, tmp_path: Path) -> None:
    checkpoints = []
    for start, stop in itertools.pairwise([0, 3, 256, 300, 600]):
        async with opened(database_url, tmp_path / "contents") as ledger:
            committed = await ledger.sequencer.submit(entries(start, stop))
            checkpoints.append(notes.open_checkpoint(committed.checkpoint, ledger.key.verifier))
    async with opened(database_url, tmp_path / "contents") as ledger:
        for first, second in itertools.combinations(checkpoints, 2):
            sizes = first.tree_size, second.tree_size
            path = await ledger.consistency(*sizes)
            verify_consistency(*sizes, path, first.root_hash, second.root_hash)


async def test_two_processes_on_one_database_never_fork_the_log(
    database_url: str, tmp_path: Path
) -> None:
    async with (
        opened(database_url, tmp_path / "contents") as one,
        opened(database_url, tmp_path / "contents") as other,
    ):
        done: list[Committed] = []
        for round_ in range(6):
            done += await asyncio.gather(
                *(
                    ledger.sequencer.submit(entries(number, number + 20))
                    for number, ledger in enumerate([one, other, one, other], round_ * 1000)
                )
            )
        assert sorted(i for each in done for i in each.indexes) == list(range(480))
        seen = {each.tree_size: each.checkpoint for each in done}
        assert all(seen[each.tree_size] == each.checkpoint for each in done)
        heads = [notes.open_checkpoint(each, one.key.verifier) for each in seen.values()]
        heads.sort(key=lambda head: head.tree_size)
        for first, second in itertools.pairwise(heads):
            sizes = first.tree_size, second.tree_size
            path = await other.consistency(*sizes)
            verify_consistency(*sizes, path, first.root_hash, second.root_hash)


async def test_everything_submitted_is_committed_before_closing(
    database_url: str, tmp_path: Path
) -> None:
    async with opened(database_url, tmp_path / "contents") as ledger:
        waiting = [asyncio.ensure_future(ledger.sequencer.submit([entry(i)])) for i in range(9)]
        await asyncio.sleep(0)
        await ledger.sequencer.close()
        assert [each.done() for each in waiting] == [True] * 9
        with pytest.raises(Unavailable):
            await ledger.sequencer.submit([entry(9)])


async def test_an_entry_longer_than_a_bundle_holds_is_refused(tmp_path: Path) -> None:
    async with opened(f"sqlite:///{tmp_path}/test.db", tmp_path / "contents") as ledger:
        with pytest.raises(ValueError, match="at most"):
            await ledger.sequencer.submit([b"x" * 65_536])


async def test_a_log_changed_under_a_running_process_is_not_extended(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/test.db"
    async with opened(url, tmp_path / "contents") as ledger:
        before = await ledger.sequencer.submit(entries(0, 3))
        async with ledger.database.reading() as connection:
            kept = await log_store.read_head(connection)
        assert kept is not None
        await ledger.sequencer.submit(entries(3, 5))
        async with ledger.database.transaction() as connection:
            await connection.execute(
                delete(tables.log_entries).where(tables.log_entries.c.log_index >= 3)
            )
            await log_store.write_head(connection, kept)
        for _ in range(2):
            with pytest.raises(Unavailable):
                await ledger.sequencer.submit(entries(5, 6))
        async with ledger.database.reading() as connection:
            head = await log_store.read_head(connection)
            assert head is not None
            assert head.checkpoint == before.checkpoint
            count = select(func.count()).select_from(tables.log_entries)
            assert (await connection.execute(count)).scalar() == 3


async def test_submissions_beyond_the_queues_limit_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.registry.log.sequencer.QUEUE_LIMIT", 3)
    async with opened(f"sqlite:///{tmp_path}/test.db", tmp_path / "contents") as ledger:
        done = await asyncio.gather(
            *(ledger.sequencer.submit([entry(number)]) for number in range(4)),
            return_exceptions=True,
        )
        assert [isinstance(each, ResourceExhausted) for each in done] == [False, False, False, True]
        assert (await ledger.sequencer.submit([entry(4)])).indexes == (3,)
