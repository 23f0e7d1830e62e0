"""The signed tree: a log that is not the one that was signed is not started."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Executable, delete, update

from services.registry import tables
from services.registry.log.stored_tiles import LogDamaged
from tests.unit.registry.ledger import entries, log_key, opened


async def damage(url: str, tmp_path: Path, statement: Executable) -> None:
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
async def test_a_damaged_log_is_not_started(tmp_path: Path, statement: Executable) -> None:
    url = f"sqlite:///{tmp_path}/test.db"
    await damage(url, tmp_path, statement)
    with pytest.raises(LogDamaged):
        async with opened(url, tmp_path / "contents"):
            pass


async def test_another_logs_key_signs_nothing(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/test.db"
    async with opened(url, tmp_path / "contents") as ledger:
        await ledger.sequencer.submit(entries(0, 3))
    with pytest.raises(LogDamaged):
        async with opened(url, tmp_path / "contents", key=log_key(2)):
            pass
