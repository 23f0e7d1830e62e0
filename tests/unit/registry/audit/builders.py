"""A registry with some hundred documents, to be damaged and audited."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Executable

from services.registry import tables
from services.registry.audit.audit import audit
from services.registry.contents.store import content_row
from services.registry.log.store import Rows
from services.registry.log.transparency_log import encode_entry
from tests.unit.registry.ledger import Ledger, document_row, members_of, simple_records

DOCUMENTS = 300


def name_of(number: int) -> str:
    return f"documents/{number:04d}"


async def register(ledger: Ledger, start: int, stop: int) -> None:
    """Register documents of those numbers, in one submission."""
    data = [f"content {number}".encode() for number in range(start, stop)]
    references = await ledger.contents.put_many(data)
    rows = [document_row(name_of(start + i), content) for i, content in enumerate(data)]
    await ledger.sequencer.submit(
        [encode_entry(members_of(row["name"], row["title"])) for row in rows],
        rows=[
            Rows(
                tables.documents,
                [{**row, "log_index": i} for i, row in enumerate(rows)],
                index_column="log_index",
            ),
            Rows(
                tables.contents,
                [
                    content_row(row["name"], reference)
                    for reference, row in zip(references, rows, strict=True)
                ],
            ),
        ],
    )


async def differences(ledger: Ledger, *, seen: Sequence[bytes] = ()) -> list[str]:
    """What the audit reports."""
    found = await audit(
        ledger.database,
        ledger.contents,
        ledger.objects,
        ledger.key.verifier,
        records=simple_records,
        seen=seen,
    )
    return [str(each) for each in found]


async def change(ledger: Ledger, statement: Executable) -> None:
    """Change the database as no service does."""
    async with ledger.database.transaction() as connection:
        await connection.execute(statement)
