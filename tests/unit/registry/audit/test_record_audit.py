"""Every record that differs from its entry is named, and every entry without a record."""

from __future__ import annotations

from sqlalchemy import delete, insert, select, update

from services.registry import tables
from tests.unit.registry.audit.builders import change, differences, name_of, register
from tests.unit.registry.ledger import (
    NOW,
    Ledger,
)


async def test_a_deleted_document_is_named(ledger_on_each: Ledger) -> None:
    ledger = ledger_on_each
    await change(ledger, delete(tables.documents).where(tables.documents.c.name == name_of(7)))
    assert await differences(ledger) == [
        "entry 7: has no record (registered)",
        f"{name_of(7)}: its content's key should not be there",
    ]


async def test_a_changed_document_is_named(ledger: Ledger) -> None:
    documents = tables.documents
    await change(
        ledger, update(documents).where(documents.c.name == name_of(7)).values(title="other")
    )
    assert await differences(ledger) == [f"{name_of(7)}: differs from entry 7 in title"]


async def test_a_document_that_borrows_anothers_entry_is_named(ledger: Ledger) -> None:
    documents = tables.documents
    await change(
        ledger, update(documents).where(documents.c.name == name_of(7)).values(log_index=3)
    )
    assert await differences(ledger) == [
        f"{name_of(7)}: claims entry 3, which is another record's",
        "entry 7: has no record (registered)",
    ]


async def test_a_table_rolled_back_is_named(ledger_on_each: Ledger) -> None:
    ledger = ledger_on_each
    documents, contents = tables.documents, tables.contents
    async with ledger.database.reading() as connection:
        before = [dict(row._mapping) for row in await connection.execute(select(documents))]
        keys = [dict(row._mapping) for row in await connection.execute(select(contents))]
    await register(ledger, 300, 303)
    async with ledger.database.transaction() as connection:
        for table, rows in ((documents, before), (contents, keys)):
            await connection.execute(delete(table))
            await connection.execute(insert(table), rows)
    assert await differences(ledger) == [
        f"entry {index}: has no record (registered)" for index in (300, 301, 302)
    ]


async def test_an_erased_documents_entry_may_say_more_than_its_row(ledger: Ledger) -> None:
    documents, contents = tables.documents, tables.contents
    await change(
        ledger,
        update(documents)
        .where(documents.c.name == name_of(7))
        .values(erase_time=NOW, content_sha256=None),
    )
    assert await differences(ledger) == [f"{name_of(7)}: its content's key should not be there"]
    await change(ledger, delete(contents).where(contents.c.document == name_of(7)))
    assert await differences(ledger) == []
