"""References to contents: found, shared by an object, and destroyed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncConnection

from services.registry import tables
from services.registry.contents.store import (
    content_row,
    erase_reference,
    find_reference,
    find_referenced,
)
from services.registry.log.store import Rows
from tests.unit.registry.ledger import entry, opened


async def test_an_erased_content_has_no_key_any_more(database_url: str, tmp_path: Path) -> None:
    async with opened(database_url, tmp_path) as ledger:
        (reference,) = await ledger.contents.put_many([b"content"])
        rows = [Rows(tables.contents, [content_row("documents/one", reference)])]
        await ledger.sequencer.submit([entry(1)], rows=rows)
        async with ledger.database.reading() as connection:
            assert await find_reference(connection, "documents/one") == reference

        async def erase(connection: AsyncConnection, _indexes: Sequence[int]) -> None:
            await erase_reference(connection, "documents/one")

        await ledger.sequencer.submit([entry(2)], erase)
        async with ledger.database.reading() as connection:
            assert await find_reference(connection, "documents/one") is None


async def test_an_object_is_referred_to_while_one_document_does(
    database_url: str, tmp_path: Path
) -> None:
    async with opened(database_url, tmp_path) as ledger:
        references = await ledger.contents.put_many([b"one", b"two"])
        rows = [
            content_row(f"documents/{number}", reference)
            for number, reference in enumerate(references)
        ]
        await ledger.sequencer.submit([], rows=[Rows(tables.contents, rows)])
        key = references[0].object_key
        for number, left in ((0, {key}), (1, set())):
            async with ledger.database.transaction() as connection:
                await erase_reference(connection, f"documents/{number}")
                assert await find_referenced(connection, [key, "packs/other"]) == left
