"""A ledger of three hundred documents: on SQLite, and on each kind of database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.unit.registry.audit.builders import DOCUMENTS, register
from tests.unit.registry.ledger import WITNESS, Ledger, opened


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[Ledger]:
    url = f"sqlite:///{tmp_path}/test.db"
    async with opened(url, tmp_path / "contents", witnesses=(WITNESS,)) as ledger:
        await register(ledger, 0, DOCUMENTS)
        yield ledger


@pytest.fixture
async def ledger_on_each(database_url: str, tmp_path: Path) -> AsyncIterator[Ledger]:
    """On SQLite and on PostgreSQL, for what the statements decide."""
    async with opened(database_url, tmp_path / "contents", witnesses=(WITNESS,)) as ledger:
        await register(ledger, 0, DOCUMENTS)
        yield ledger
