"""Run a temporary PostgreSQL cluster, if Debian's packages of it are installed.

The cluster is in a temporary folder, listens on a unix socket only, and is removed at the end.
"""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

# Where Debian's packages put each major version.
BINARIES = Path("/usr/lib/postgresql")
USER = "qagazsyz"
# Enough connections for the pools of several processes.
OPTIONS = "-c listen_addresses='' -c max_connections=200"
# For benchmarks, as an operator would have it: every commit flushed, and memory for the indexes.
MEASURED = "-c shared_buffers=256MB -c max_wal_size=4GB"

_numbers = itertools.count()


@dataclass(frozen=True, slots=True)
class Postgres:
    """A running cluster: the folder of its programs, that of its socket, and its user."""

    binaries: Path
    folder: Path
    user: str | None
    options: str = ""

    def url(self, database: str) -> str:
        return f"postgresql+asyncpg://{USER}@/{database}?host={self.folder}"

    @property
    def pid(self) -> int:
        """The id of the postmaster, the parent of all processes of the cluster."""
        return int((self.folder / "data" / "postmaster.pid").read_text().split()[0])

    def run(self, program: str, *arguments: str) -> None:
        """Run one of its programs as its user: PostgreSQL refuses to run as root."""
        subprocess.run(  # noqa: S603
            [str(self.binaries / program), *arguments],
            check=True,
            capture_output=True,
            user=self.user,
            cwd=self.folder,
        )

    def stop(self) -> None:
        """Stop it as a crash does: every connection is lost."""
        data = str(self.folder / "data")
        self.run("pg_ctl", "stop", "--mode=immediate", "--pgdata", data)

    def start(self) -> None:
        """Start it, and wait until it takes connections."""
        data, log = str(self.folder / "data"), str(self.folder / "log")
        options = f"{OPTIONS} -c unix_socket_directories={self.folder} {self.options}"
        self.run("pg_ctl", "start", "--wait", "--pgdata", data, "--log", log, "-o", options)

    def create_database(self, name: str = "", *, template: str = "template1") -> str:
        """Create a database, empty or as a copy of an unused one; return its URL."""
        name = name or f"test{next(_numbers)}"
        where = ["--host", str(self.folder), "--username", USER]
        self.run("createdb", *where, "--template", template, name)
        return self.url(name)


def find_binaries() -> Path | None:
    """Find the programs of the newest installed version; None without any."""
    versions = sorted(BINARIES.glob("[0-9]*/bin/initdb"), reverse=True)
    return versions[0].parent if versions else None


@contextmanager
def running(binaries: Path, options: str = "") -> Iterator[Postgres]:
    """Run a cluster during the block, with these options of postgres, and remove it."""
    # A unix socket's path has about a hundred characters at most; other folders are longer.
    folder = Path(tempfile.mkdtemp(prefix="qagazsyz-pg-"))
    user = _unprivileged_user()
    if user is not None:
        shutil.chown(folder, user)
    cluster = Postgres(binaries, folder, user, options)
    data = str(folder / "data")
    try:
        cluster.run(
            "initdb", "--no-sync", "--auth=trust", f"--username={USER}", "--encoding=UTF8",
            "--locale=C", "--pgdata", data,
        )  # fmt: skip
        cluster.start()
        try:
            yield cluster
        finally:
            cluster.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _unprivileged_user() -> str | None:
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in known else "nobody"
