"""For all tests: hypothesis without a clock; SQLite, and PostgreSQL where it is installed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from services.runtime.storage.database import sqlite_url
from testing import postgres as clusters
from testing.postgres import Postgres
from tests.databases import MigratedDatabases

# PostgreSQL is started as another user, for which Python forks: gRPC's handlers of that, which may
# not run while it has threads and then say so, are not wanted by a process that only starts others.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

# An example's wall-clock time tells how busy the machine is, not whether a law holds: under load,
# hypothesis's deadline of 200 ms fails tests at random, as a FlakyFailure.
settings.register_profile("suite", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("suite")

# Loses data in a power cut and nothing else, which no test here has.
FAST = "-c fsync=off -c synchronous_commit=off -c full_page_writes=off -c shared_buffers=64MB"


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL of this test session's own."""
    binaries = clusters.find_binaries()
    if binaries is None:
        pytest.skip("no PostgreSQL: apt-get install postgresql")
    with clusters.running(binaries, FAST) as cluster:
        yield cluster


@pytest.fixture
def postgres_url(postgres: Postgres) -> str:
    """The URL of a fresh PostgreSQL database."""
    return postgres.create_database()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_kind(request: pytest.FixtureRequest) -> str:
    """Every test that asks for a database's URL runs on each kind."""
    kind: str = request.param
    return kind


@pytest.fixture
def empty_database_url(request: pytest.FixtureRequest, database_kind: str, tmp_path: Path) -> str:
    """The URL of a fresh database without a schema."""
    if database_kind == "sqlite":
        return sqlite_url(tmp_path / "test.db")
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture
def database_url(empty_database_url: str) -> str:
    """The URL of a fresh database, which services' tests have migrated."""
    return empty_database_url


@pytest.fixture(scope="session")
def migrated_databases(tmp_path_factory: pytest.TempPathFactory) -> MigratedDatabases:
    """What migrated_url copies."""
    return MigratedDatabases(tmp_path_factory.mktemp("migrated"))


@pytest.fixture
def migrated_url(
    request: pytest.FixtureRequest,
    migrated_databases: MigratedDatabases,
    database_kind: str,
    migrations: Path,
    tmp_path: Path,
) -> str:
    """The URL of a fresh database with the schema of `migrations`, a fixture of each service."""
    if database_kind == "sqlite":
        return migrated_databases.copy_file(migrations, tmp_path / "test.db")
    return migrated_databases.copy_in(request.getfixturevalue("postgres"), migrations)
