"""Fixtures of databases: SQLite always, PostgreSQL if Debian's package is installed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from testing import postgres as clusters
from testing.postgres import Postgres

# PostgreSQL is started as another user, for which Python forks. gRPC's fork handlers cannot run
# while gRPC has threads, and warn; a child that executes another program at once does not need
# them.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

# Without durability in a power cut, which no test here needs.
FAST = "-c fsync=off -c synchronous_commit=off -c full_page_writes=off -c shared_buffers=64MB"


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """Run a PostgreSQL cluster for this test session."""
    binaries = clusters.find_binaries()
    if binaries is None:
        pytest.skip("no PostgreSQL: apt-get install postgresql")
    with clusters.running(binaries, FAST) as cluster:
        yield cluster


@pytest.fixture
def postgres_url(postgres: Postgres) -> str:
    """Create a PostgreSQL database; return its URL."""
    return postgres.create_database()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the URL of an empty database; a test that uses this runs on each kind."""
    if request.param == "sqlite":
        return f"sqlite+aiosqlite:///{tmp_path / 'test.db'}"
    url: str = request.getfixturevalue("postgres_url")
    return url
