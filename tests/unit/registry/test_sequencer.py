"""Group commit: what callers get, what fails alone, and that two processes never fork the log."""

from __future__ import annotations

import asyncio
import itertools

import pytest
from sqlalchemy import delete, func, select, update
from sqlalchemy.exc import IntegrityError

from qagazsyz import notes
from qagazsyz.merkle import verify_consistency
from qagazsyz.receipts import verify_receipt
from services.registry import tables
from services.registry.log import store as log_store
from services.registry.log.sequencer import Rows, Submission
from services.registry.log.transparency_log import LogDamaged
from services.runtime.errors import FailedPrecondition, Unavailable
from tests.unit.registry.ledger import NOW, entries, entry, log_key, opened


def content_row(document: str, length: int = 0) -> dict[str, object]:
    return {
        "document": document,
        "object_key": "packs/none",
        "position": 0,
        "length": length,
        "wrapping_key_id": "content-1",
        "wrapped_key": bytes(60),
    }


async def lengths(ledger):
    async with ledger.database.reading() as connection:
        rows = await connection.execute(
            select(tables.contents.c.document, tables.contents.c.length)
        )
        return {row.document: row.length for row in rows}


async def test_a_submission_gets_its_place_and_a_checkpoint_over_it(database_url, tmp_path):
    async with opened(database_url, tmp_path / "contents") as ledger:
        first = await ledger.sequencer.submit(entries(0, 2))
        second = await ledger.sequencer.submit(entries(2, 3))
        assert (first.indexes, second.indexes) == ((0, 1), (2,))
        assert (first.tree_size, second.tree_size) == (2, 3)
        assert second.time == NOW
        checkpoint = notes.open_checkpoint(second.checkpoint, ledger.key.verifier)
        assert checkpoint.tree_size == 3
        async with ledger.database.reading() as connection:
            receipt = await ledger.log.receipt(connection, 1)
        assert receipt.entry == entry(1)
        assert verify_receipt(receipt, ledger.key.verifier).entry["number"] == 1


async def test_submissions_at_once_share_few_checkpoints(database_url, tmp_path):
    async with opened(database_url, tmp_path / "contents") as ledger:
        done = await asyncio.gather(
            *(ledger.sequencer.submit([entry(number)]) for number in range(200))
        )
        assert sorted(index for each in done for index in each.indexes) == list(range(200))
        assert len({each.tree_size for each in done}) <= 3


async def test_rows_are_written_with_their_log_indexes(database_url, tmp_path):
    async with opened(database_url, tmp_path / "contents") as ledger:
        await ledger.sequencer.submit(entries(0, 5))
        await asyncio.gather(
            *(
                ledger.sequencer.submit(
                    entries(number * 2, number * 2 + 2),
                    rows=[
                        Rows(
                            tables.contents,
                            [content_row(f"{number}/{i}", i) for i in range(2)],
                            index_column="length",
                        )
                    ],
                )
                for number in range(10)
            )
        )
        async with ledger.database.reading() as connection:
            for document, index in (await lengths(ledger)).items():
                number, i = map(int, document.split("/"))
                (found,) = await log_store.read_entries(connection, index, index + 1)
                assert found.entry == entry(number * 2 + i)


async def test_what_apply_returns_and_writes_comes_with_the_entry(database_url, tmp_path):
    async with opened(database_url, tmp_path / "contents") as ledger:
        await ledger.sequencer.submit([], rows=[Rows(tables.contents, [content_row("one", 7)])])

        async def change(connection, indexes):
            await connection.execute(update(tables.contents).values(length=indexes[0] + 100))
            return "changed"

        committed = await ledger.sequencer.submit([entry(0)], change)
        assert (committed.value, committed.indexes) == ("changed", (0,))
        assert await lengths(ledger) == {"one": 100}


async def test_a_submission_that_fails_fails_alone(database_url, tmp_path):
    async with opened(database_url, tmp_path / "contents") as ledger:

        async def refuse(connection, indexes):
            await connection.execute(delete(tables.contents))
            raise FailedPrecondition("NOT_SO", "no")

        def submit(number):
            rows = [Rows(tables.contents, [content_row(str(number % 10))])]
            return ledger.sequencer.submit(
                [entry(number)], refuse if number == 3 else None, rows=rows
            )

        # The last two repeat the keys of the first two.
        done = await asyncio.gather(*map(submit, range(12)), return_exceptions=True)
        assert isinstance(done[3], FailedPrecondition)
        failed = [i for i, each in enumerate(done) if isinstance(each, IntegrityError)]
        assert failed == [10, 11]
        kept = [each for each in done if not isinstance(each, Exception)]
        assert sorted(each.indexes[0] for each in kept) == list(range(9))
        assert len(await lengths(ledger)) == 9
        async with ledger.database.reading() as connection:
            stored = await log_store.read_entries(connection, 0, 100)
            assert [each.entry for each in stored] == [entry(i) for i in range(10) if i != 3]
            for index in range(9):
                verify_receipt(await ledger.log.receipt(connection, index), ledger.key.verifier)


async def test_of_many_submitted_at_once_each_fails_alone(database_url, tmp_path):
    async with opened(database_url, tmp_path / "contents") as ledger:
        # The fourth repeats the key of the first.
        outcomes = await ledger.sequencer.submit_many(
            [
                Submission([entry(i)], [Rows(tables.contents, [content_row(key)])])
                for i, key in enumerate(("a", "b", "c", "a", "e"))
            ]
        )
        assert isinstance(outcomes[3], IntegrityError)
        assert [each.indexes for each in outcomes if not isinstance(each, Exception)] == [
            (0,), (1,), (2,), (3,),
        ]  # fmt: skip
        assert sorted(await lengths(ledger)) == ["a", "b", "c", "e"]
        assert await ledger.sequencer.submit_many([]) == []


async def test_a_single_submission_that_fails_leaves_nothing(database_url, tmp_path):
    async with opened(database_url, tmp_path / "contents") as ledger:

        async def refuse(connection, indexes):
            raise FailedPrecondition("NOT_SO", "no")

        with pytest.raises(FailedPrecondition):
            await ledger.sequencer.submit([entry(1)], refuse)
        assert (await ledger.sequencer.submit([entry(2)])).indexes == (0,)


async def test_a_caller_who_left_before_the_commit_costs_nothing(database_url, tmp_path):
    async with opened(database_url, tmp_path / "contents") as ledger:
        leaving = asyncio.ensure_future(ledger.sequencer.submit([entry(1)]))
        staying = asyncio.ensure_future(ledger.sequencer.submit([entry(2)]))
        await asyncio.sleep(0)
        leaving.cancel()
        assert (await staying).tree_size == 1


async def test_the_tree_goes_on_after_a_restart(database_url, tmp_path):
    checkpoints = []
    for start, stop in itertools.pairwise([0, 3, 256, 300, 600]):
        async with opened(database_url, tmp_path / "contents") as ledger:
            committed = await ledger.sequencer.submit(entries(start, stop))
            checkpoints.append(notes.open_checkpoint(committed.checkpoint, ledger.key.verifier))
    async with (
        opened(database_url, tmp_path / "contents") as ledger,
        ledger.database.reading() as connection,
    ):
        for first, second in itertools.combinations(checkpoints, 2):
            sizes = first.tree_size, second.tree_size
            path = await ledger.log.consistency(connection, *sizes)
            verify_consistency(*sizes, path, first.root_hash, second.root_hash)


async def test_two_processes_on_one_database_never_fork_the_log(database_url, tmp_path):
    async with (
        opened(database_url, tmp_path / "contents") as one,
        opened(database_url, tmp_path / "contents") as other,
    ):
        done = []
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
        async with other.database.reading() as connection:
            for first, second in itertools.pairwise(heads):
                sizes = first.tree_size, second.tree_size
                path = await other.log.consistency(connection, *sizes)
                verify_consistency(*sizes, path, first.root_hash, second.root_hash)


async def test_everything_submitted_is_committed_before_closing(database_url, tmp_path):
    async with opened(database_url, tmp_path / "contents") as ledger:
        waiting = [asyncio.ensure_future(ledger.sequencer.submit([entry(i)])) for i in range(9)]
        await asyncio.sleep(0)
        await ledger.sequencer.close()
        assert [each.done() for each in waiting] == [True] * 9
        with pytest.raises(Unavailable):
            await ledger.sequencer.submit([entry(9)])


async def test_an_entry_that_no_bundle_holds_is_refused(tmp_path):
    async with opened(f"sqlite:///{tmp_path}/test.db", tmp_path / "contents") as ledger:
        with pytest.raises(ValueError, match="at most"):
            await ledger.sequencer.submit([b"x" * 65_536])


async def damage(url, tmp_path, statement):
    async with opened(url, tmp_path / "contents") as ledger:
        await ledger.sequencer.submit(entries(0, 300))
        async with ledger.database.transaction() as connection:
            await connection.execute(statement)


@pytest.mark.parametrize(
    "statement",
    [
        delete(tables.log_entries).where(tables.log_entries.c.log_index == 299),
        update(tables.log_entries)
        .where(tables.log_entries.c.log_index == 299)
        .values(leaf_hash=bytes(32)),
        delete(tables.log_tiles),
        update(tables.log_head).values(tree_size=299),
        update(tables.log_head).values(root_hash=bytes(32)),
        update(tables.log_head).values(checkpoint=b"whatever"),
        delete(tables.log_head),
    ],
    ids=["entry", "hash", "tile", "size", "root", "checkpoint", "head"],
)
async def test_a_damaged_log_is_not_started(tmp_path, statement):
    url = f"sqlite:///{tmp_path}/test.db"
    await damage(url, tmp_path, statement)
    with pytest.raises(LogDamaged):
        async with opened(url, tmp_path / "contents"):
            pass


async def test_another_logs_key_signs_nothing(tmp_path):
    url = f"sqlite:///{tmp_path}/test.db"
    async with opened(url, tmp_path / "contents") as ledger:
        await ledger.sequencer.submit(entries(0, 3))
    with pytest.raises(LogDamaged):
        async with opened(url, tmp_path / "contents", key=log_key(2)):
            pass


async def test_a_database_older_than_the_kept_checkpoint_is_not_started(tmp_path):
    url = f"sqlite:///{tmp_path}/test.db"
    async with opened(url, tmp_path / "contents") as ledger:
        await ledger.sequencer.submit(entries(0, 3))
    backup = (tmp_path / "test.db").read_bytes()
    async with opened(url, tmp_path / "contents") as ledger:
        await ledger.sequencer.submit(entries(3, 5))
    (tmp_path / "test.db").write_bytes(backup)
    with pytest.raises(LogDamaged, match="older"):
        async with opened(url, tmp_path / "contents"):
            pass


async def test_a_database_that_went_another_way_than_the_kept_checkpoint_is_not_started(tmp_path):
    url = f"sqlite:///{tmp_path}/test.db"
    async with opened(url, tmp_path / "contents") as ledger:
        await ledger.sequencer.submit(entries(0, 3))
    backup = (tmp_path / "test.db").read_bytes()
    async with opened(url, tmp_path / "contents") as ledger:
        await ledger.sequencer.submit(entries(3, 5))
    (tmp_path / "test.db").write_bytes(backup)
    async with opened(url, tmp_path / "elsewhere") as ledger:
        await ledger.sequencer.submit(entries(100, 150))
    with pytest.raises(LogDamaged, match="not the one"):
        async with opened(url, tmp_path / "contents"):
            pass


async def test_a_log_changed_under_a_running_process_is_not_extended(tmp_path):
    url = f"sqlite:///{tmp_path}/test.db"
    async with opened(url, tmp_path / "contents") as ledger:
        before = await ledger.sequencer.submit(entries(0, 3))
        async with ledger.database.reading() as connection:
            kept = await log_store.read_head(connection)
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
            assert head.checkpoint == before.checkpoint
            count = select(func.count()).select_from(tables.log_entries)
            assert (await connection.execute(count)).scalar() == 3
