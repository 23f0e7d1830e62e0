"""A registry's process that registers without end, to be killed; it tells what is durable."""

from __future__ import annotations

import asyncio
import random
import time
from multiprocessing.connection import Connection
from pathlib import Path

from services.registry.contents.store import content_row
from services.registry.log.store import Rows
from services.registry.log.transparency_log import encode_entry
from services.registry.tables import contents, documents
from tests.unit.registry.ledger import Ledger, document_row, members_of, opened

CALLERS = 4


async def register_for_ever(
    ledger: Ledger, prefix: str, caller: int, acknowledged: Connection
) -> None:
    """Registers small batches and tells which are durable."""
    sizes = random.Random(caller)
    number = 0
    while True:
        names = [f"documents/{prefix}-{caller}-{number + i}" for i in range(sizes.randint(1, 40))]
        number += len(names)
        submitted = time.monotonic()
        references = await ledger.contents.put_many([name.encode() * 20 for name in names])
        rows = [document_row(name, name.encode() * 20) for name in names]
        committed = await asyncio.gather(
            *(
                ledger.sequencer.submit(
                    [encode_entry(members_of(row["name"], row["title"]))],
                    rows=[
                        Rows(documents, [row], index_column="log_index"),
                        Rows(contents, [content_row(row["name"], reference)]),
                    ],
                )
                for row, reference in zip(rows, references, strict=True)
            )
        )
        acknowledged.send(
            {
                "indexes": dict(zip(names, (each.indexes[0] for each in committed), strict=True)),
                "checkpoint": committed[-1].checkpoint,
                "submitted": submitted,
            }
        )


async def write(url: str, folder: Path, prefix: str, acknowledged: Connection) -> None:
    async with opened(url, folder) as ledger:
        await asyncio.gather(
            *(register_for_ever(ledger, prefix, caller, acknowledged) for caller in range(CALLERS))
        )


def main(url: str, folder: Path, prefix: str, acknowledged: Connection) -> None:
    """Runs until it is killed."""
    asyncio.run(write(url, folder, prefix, acknowledged))
