"""The kept checkpoint: a database that is not the one it was made over is not started."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.registry.log.stored_tiles import LogDamaged
from tests.unit.registry.ledger import entries, opened


async def test_a_database_older_than_the_kept_checkpoint_is_not_started(tmp_path: Path) -> None:
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


async def test_a_database_that_went_another_way_than_the_kept_checkpoint_is_not_started(
    tmp_path: Path,
) -> None:
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
