"""Databases for every test that wants one: SQLite always, PostgreSQL where Debian's is installed.

The PostgreSQL is the tests' own: a fresh cluster in a folder of its own, on a
unix socket, without TCP, gone when the session ends.
"""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

# PostgreSQL is started as another user, for which Python forks: gRPC's handlers of that, which may
# not run while it has threads and then say so, are not wanted by a process that only starts others.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

# Where Debian's packages put each major version.
POSTGRES_BINARIES = Path("/usr/lib/postgresql")
# Loses data in a power cut and nothing else, which no test here has.
FAST = "-c fsync=off -c synchronous_commit=off -c full_page_writes=off"
# Room for what several tests' pools keep open at once.
CONNECTIONS = "-c max_connections=200 -c shared_buffers=64MB"

_numbers = itertools.count()


@dataclass(frozen=True, slots=True)
class Postgres:
    """A running cluster: where its programs are, its socket's folder, and who runs it."""

    binaries: Path
    folder: Path
    user: str | None

    def url(self, database: str) -> str:
        return f"postgresql+asyncpg://qagazsyz@/{database}?host={self.folder}"

    def run(self, program: str, *arguments: str) -> None:
        """Runs one of its programs. PostgreSQL refuses to be run by root."""
        subprocess.run(
            [str(self.binaries / program), *arguments],
            check=True,
            capture_output=True,
            user=self.user,
            cwd=self.folder,
        )

    def create_database(self, name: str = "") -> str:
        """The URL of a new, empty database."""
        name = name or f"test{next(_numbers)}"
        self.run("createdb", "--host", str(self.folder), "--username", "qagazsyz", name)
        return self.url(name)


def _binaries() -> Path | None:
    versions = sorted(POSTGRES_BINARIES.glob("[0-9]*/bin/initdb"), reverse=True)
    return versions[0].parent if versions else None


def _unprivileged_user() -> str | None:
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in known else "nobody"


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL of this test session's own."""
    binaries = _binaries()
    if binaries is None:
        pytest.skip("no PostgreSQL: apt-get install postgresql")
    # A unix socket's path has about a hundred characters at most; pytest's folders are longer.
    folder = Path(tempfile.mkdtemp(prefix="qagazsyz-pg-"))
    user = _unprivileged_user()
    if user is not None:
        shutil.chown(folder, user)
    cluster = Postgres(binaries, folder, user)
    data = str(folder / "data")
    try:
        cluster.run(
            "initdb", "--no-sync", "--auth=trust", "--username=qagazsyz", "--encoding=UTF8",
            "--locale=C", "--pgdata", data,
        )  # fmt: skip
        options = f"-c listen_addresses='' -c unix_socket_directories={folder} {FAST} {CONNECTIONS}"
        log = str(folder / "log")
        cluster.run("pg_ctl", "start", "--wait", "--pgdata", data, "--log", log, "-o", options)
        try:
            yield cluster
        finally:
            cluster.run("pg_ctl", "stop", "--mode=immediate", "--pgdata", data)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def postgres_url(postgres: Postgres) -> str:
    """The URL of a fresh PostgreSQL database."""
    return postgres.create_database()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a fresh database: every test that asks for it runs on each kind."""
    if request.param == "sqlite":
        return f"sqlite+aiosqlite:///{tmp_path / 'test.db'}"
    url: str = request.getfixturevalue("postgres_url")
    return url
