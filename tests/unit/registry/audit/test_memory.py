"""The audit's memory does not grow with the log, but for a bit an entry."""

from __future__ import annotations

import gc
import os
import tracemalloc
from collections.abc import AsyncIterator
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncConnection

from services.registry.audit.audit import audit
from services.registry.audit.record_audit import Record
from tests.unit.registry.ledger import Ledger, entries, opened

# LONG_RUN=1 takes some minutes.
ENTRIES = 200_000 if "LONG_RUN" in os.environ else 6_000
ROUND = 1_000


async def peak_of_an_audit(ledger: Ledger, size: int) -> int:
    """Audit; return the most bytes that were held beside those from before."""

    async def records(_connection: AsyncConnection) -> AsyncIterator[Record]:
        for number in range(size):
            members = {"v": 1, "event": "tested", "number": number}
            yield Record(f"record {number}", number, members)

    gc.collect()
    tracemalloc.start()
    try:
        found = await audit(
            ledger.database, ledger.contents, ledger.objects, ledger.key.verifier, records=records
        )
        assert found == []
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


async def test_a_longer_log_takes_no_more_memory(tmp_path: Path) -> None:
    async with opened(f"sqlite:///{tmp_path}/test.db", tmp_path / "contents") as ledger:
        await ledger.sequencer.submit(entries(0, ROUND))
        await peak_of_an_audit(ledger, ROUND)  # what is imported and compiled once
        short = await peak_of_an_audit(ledger, ROUND)
        for start in range(ROUND, ENTRIES, ROUND):
            await ledger.sequencer.submit(entries(start, start + ROUND))
        long = await peak_of_an_audit(ledger, ENTRIES)
        assert long < 1.2 * short + ENTRIES / 8
