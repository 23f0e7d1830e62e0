"""Databases of tests that are migrated already: copies of one that was migrated once a session.

Migrating takes as long as many a test: for identity 0.06 s of CPU on SQLite, 0.18 s on PostgreSQL.
"""

from __future__ import annotations

import asyncio
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import make_url

from services.runtime.storage.database import Database, sqlite_url
from services.runtime.storage.migrations import migrate
from testing.postgres import Postgres


def _migrate(url: str, migrations: Path) -> None:
    async def work() -> None:
        database = Database(url)
        try:
            await migrate(database, migrations)
        finally:
            await database.close()

    # In a thread of its own, since the tests' loop is this one's.
    with ThreadPoolExecutor(1) as pool:
        pool.submit(lambda: asyncio.run(work())).result()


@dataclass
class MigratedDatabases:
    """One database for each folder of migrations and each kind, and copies of it."""

    # Of SQLite's.
    folder: Path
    # What was made, by what it was made from: SQLite's file, or PostgreSQL's name.
    _files: dict[Path, Path] = field(default_factory=dict)
    _names: dict[Path, str] = field(default_factory=dict)

    def copy_file(self, migrations: Path, target: Path) -> str:
        """Make a file of SQLite; return its URL."""
        if migrations not in self._files:
            file = self.folder / f"{len(self._files)}.db"
            _migrate(sqlite_url(file), migrations)
            self._files[migrations] = file
        shutil.copyfile(self._files[migrations], target)
        return sqlite_url(target)

    def copy_in(self, postgres: Postgres, migrations: Path) -> str:
        """Make a database of PostgreSQL; return its URL."""
        if migrations not in self._names:
            url = postgres.create_database()
            _migrate(url, migrations)
            self._names[migrations] = str(make_url(url).database)
        return postgres.create_database(template=self._names[migrations])
