"""The audit finds nothing where nothing was changed."""

from __future__ import annotations

from pathlib import Path

from tests.unit.registry.audit.builders import differences, register
from tests.unit.registry.ledger import (
    Ledger,
    cosigned,
    opened,
)
from tests.unit.registry.log.reader import reader


async def test_a_sound_registry_has_no_differences(ledger_on_each: Ledger) -> None:
    ledger = ledger_on_each
    checkpoints = []
    for stop in (301, 512, 513):
        await register(ledger, stop - 1, stop)
        checkpoints.append(await ledger.checkpoint())
    assert await reader(ledger).add_cosignature(cosigned(checkpoints[0])) == 1
    assert await differences(ledger, seen=checkpoints) == []


async def test_an_empty_registry_has_no_differences(database_url: str, tmp_path: Path) -> None:
    async with opened(database_url, tmp_path / "contents") as ledger:
        assert await differences(ledger) == []
