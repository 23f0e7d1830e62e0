"""Receipts that the registry makes: of the entries asked for, each with its own openings."""

from __future__ import annotations

from pathlib import Path

from qagazsyz.receipts import commitment
from services.registry.documents.receipts import read_receipts
from services.registry.model.log_entries import Opening
from tests.unit.registry.ledger import entry, opened
from tests.unit.registry.world import verified

SALT = bytes(range(32))


async def test_receipts_come_in_order_each_with_its_openings(
    database_url: str, tmp_path: Path
) -> None:
    async with opened(database_url, tmp_path) as ledger:
        committed = commitment(SALT, b"subjects/one")
        await ledger.sequencer.submit([entry(0), entry(1, officer=committed), entry(2)])
        wanted = [(2, []), (1, [Opening("officer", SALT, b"subjects/one")]), (1, [])]
        async with ledger.database.reading() as connection:
            receipts = await read_receipts(connection, ledger.transparency_log, wanted)
            assert await read_receipts(connection, ledger.transparency_log, []) == []
    proved = [verified(receipt) for receipt in receipts]
    assert [each.log_index for each in proved] == [2, 1, 1]
    assert [each.openings for each in proved] == [{}, {"officer": b"subjects/one"}, {}]
    assert {each.tree_size for each in proved} == {3}
