"""Fixtures of identity's tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from services.identity.main import MIGRATIONS
from tests.unit.identity.authorities import External
from tests.unit.identity.service import Identity, running_identity


@pytest.fixture(scope="session")
def migrations() -> Path:
    return MIGRATIONS


@pytest.fixture
def database_url(migrated_url: str) -> str:
    return migrated_url


@pytest.fixture
async def identity(tmp_path: Path, database_url: str) -> AsyncIterator[Identity]:
    """The service on each kind of database."""
    async with running_identity(tmp_path, database_url) as service:
        yield service


@pytest.fixture
def external(tmp_path: Path) -> Iterator[External]:
    """An external authority that is trusted, and the validator that trusts it."""
    authority = External(tmp_path / "trust")
    yield authority
    authority.close()
