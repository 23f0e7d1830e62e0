"""The log's reader: proofs against the latest checkpoint, and tiles that are cached."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import delete

from services.registry import tables
from services.registry.log import transparency_log
from services.registry.log.tiles import Tile
from services.registry.log.transparency_log import LogDamaged, TransparencyLog, encode_entry
from tests.unit.registry.ledger import Ledger, entries, log_key, opened


async def tile(ledger: Ledger, log: TransparencyLog, index: int) -> bytes | None:
    async with ledger.database.reading() as connection:
        return await log.tile(connection, Tile(0, index))


async def delete_tiles(ledger: Ledger) -> None:
    async with ledger.database.transaction() as connection:
        await connection.execute(delete(tables.log_tiles))


async def test_an_entry_that_is_not_there_cannot_be_proved(
    database_url: str, tmp_path: Path
) -> None:
    async with opened(database_url, tmp_path) as ledger:
        await ledger.sequencer.submit(entries(0, 3))
        with pytest.raises(LogDamaged, match="missing"):
            await ledger.receipt(3)


async def test_a_full_tile_is_read_once(tmp_path: Path) -> None:
    async with opened(f"sqlite:///{tmp_path}/test.db", tmp_path) as ledger:
        await ledger.sequencer.submit(entries(0, 256))
        log, another = TransparencyLog(log_key()), TransparencyLog(log_key())
        first = await tile(ledger, log, 0)
        await delete_tiles(ledger)
        assert await tile(ledger, log, 0) == first
        with pytest.raises(LogDamaged, match="missing"):
            await tile(ledger, another, 0)


async def test_the_tile_that_was_used_least_recently_leaves_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transparency_log, "CACHED_TILES", 2)
    async with opened(f"sqlite:///{tmp_path}/test.db", tmp_path) as ledger:
        await ledger.sequencer.submit(entries(0, 768))
        log = TransparencyLog(log_key())
        for index in (0, 1, 0, 2):
            await tile(ledger, log, index)
        await delete_tiles(ledger)
        assert await tile(ledger, log, 0)
        assert await tile(ledger, log, 2)
        with pytest.raises(LogDamaged, match="missing"):
            await tile(ledger, log, 1)


def test_an_entry_longer_than_a_bundle_holds_is_not_encoded() -> None:
    with pytest.raises(ValueError, match="at most"):
        encode_entry({"v": 1, "event": "x" * 65_536})
