"""Groups: rows and changes with their entries, and a submission that fails by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from pathlib import Path

import pytest
from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from qagazsyz.receipts import verify_receipt
from services.registry import tables
from services.registry.log import store as log_store
from services.registry.log.group_commit import Conflict, Submission
from services.registry.log.sequencer import Committed
from services.registry.log.store import Rows
from services.runtime.errors import FailedPrecondition
from tests.unit.registry.ledger import Ledger, entries, entry, opened


def content_row(document: str, length: int = 0) -> dict[str, object]:
    return {
        "document": document,
        "object_key": "packs/none",
        "position": 0,
        "length": length,
        "wrapping_key_id": "content-1",
        "wrapped_key": bytes(60),
    }


async def lengths(ledger: Ledger) -> dict[str, int]:
    async with ledger.database.reading() as connection:
        rows = await connection.execute(
            select(tables.contents.c.document, tables.contents.c.length)
        )
        return {row.document: row.length for row in rows}


async def test_rows_are_written_with_their_log_indexes(database_url: str, tmp_path: Path) -> None:
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


async def test_a_change_is_committed_with_its_entry(database_url: str, tmp_path: Path) -> None:
    async with opened(database_url, tmp_path / "contents") as ledger:
        await ledger.sequencer.submit([], rows=[Rows(tables.contents, [content_row("one", 7)])])

        async def change(connection: AsyncConnection, indexes: Sequence[int]) -> None:
            await connection.execute(update(tables.contents).values(length=indexes[0] + 100))

        committed = await ledger.sequencer.submit([entry(0)], change)
        assert committed.indexes == (0,)
        assert await lengths(ledger) == {"one": 100}


async def test_a_submission_that_fails_fails_alone(database_url: str, tmp_path: Path) -> None:
    async with opened(database_url, tmp_path / "contents") as ledger:

        async def refuse(connection: AsyncConnection, _indexes: Sequence[int]) -> None:
            await connection.execute(delete(tables.contents))
            raise FailedPrecondition("NOT_SO", "no")

        def submit(number: int) -> Awaitable[Committed]:
            rows = [Rows(tables.contents, [content_row(str(number % 10))])]
            return ledger.sequencer.submit(
                [entry(number)], refuse if number == 3 else None, rows=rows
            )

        # The last two repeat the keys of the first two.
        done = await asyncio.gather(*map(submit, range(12)), return_exceptions=True)
        assert isinstance(done[3], FailedPrecondition)
        failed = [i for i, each in enumerate(done) if isinstance(each, Conflict)]
        assert failed == [10, 11]
        kept = [each for each in done if not isinstance(each, BaseException)]
        assert sorted(each.indexes[0] for each in kept) == list(range(9))
        assert len(await lengths(ledger)) == 9
        async with ledger.database.reading() as connection:
            stored = await log_store.read_entries(connection, 0, 100)
            assert [each.entry for each in stored] == [entry(i) for i in range(10) if i != 3]
            for index in range(9):
                verify_receipt(await ledger.receipt(index), ledger.key.verifier)


async def test_of_many_submitted_at_once_each_fails_alone(
    database_url: str, tmp_path: Path
) -> None:
    async with opened(database_url, tmp_path / "contents") as ledger:
        # The fourth repeats the key of the first.
        outcomes = await ledger.sequencer.submit_many(
            [
                Submission([entry(i)], [Rows(tables.contents, [content_row(key)])])
                for i, key in enumerate(("a", "b", "c", "a", "e"))
            ]
        )
        assert isinstance(outcomes[3], Conflict)
        assert [each.indexes for each in outcomes if not isinstance(each, Exception)] == [
            (0,), (1,), (2,), (3,),
        ]  # fmt: skip
        assert sorted(await lengths(ledger)) == ["a", "b", "c", "e"]
        assert await ledger.sequencer.submit_many([]) == []


async def test_a_single_submission_that_fails_leaves_nothing(
    database_url: str, tmp_path: Path
) -> None:
    async with opened(database_url, tmp_path / "contents") as ledger:

        async def refuse(_connection: AsyncConnection, _indexes: Sequence[int]) -> None:
            raise FailedPrecondition("NOT_SO", "no")

        with pytest.raises(FailedPrecondition):
            await ledger.sequencer.submit([entry(1)], refuse)
        assert (await ledger.sequencer.submit([entry(2)])).indexes == (0,)
