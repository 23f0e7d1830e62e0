"""A world of phones, on each kind of database for signing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.runtime.storage.database import sqlite_url
from tests.unit.signing.mobile.world import World, running_world


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    urls = [sqlite_url(tmp_path / f"{name}.db") for name in ("identity", "messaging", "signing")]
    async with running_world(tmp_path, urls) as world:
        yield world
