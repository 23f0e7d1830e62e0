"""How tests look at migrations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, MetaData


def differences(connection: Connection, metadata: MetaData) -> list[Any]:
    """Where the schema differs from the tables."""
    found = compare_metadata(MigrationContext.configure(connection), metadata)
    # Alembic's own table is in no metadata.
    return [each for each in found if "alembic_version" not in str(each)]


def migrate_up_to(connection: Connection, folder: Path, revision: str) -> None:
    """Run the migrations up to one, from an empty database."""
    scripts = ScriptDirectory(str(folder))
    context = MigrationContext.configure(connection)
    with Operations.context(context):
        for script in reversed(list(scripts.iterate_revisions(revision, "base"))):
            script.module.upgrade()
        context._ensure_version_table()
        context.stamp(scripts, revision)
