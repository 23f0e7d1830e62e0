"""`qagazsyz migrate`: migrate each service's database to the newest schema."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Annotated

import typer

from cli.errors import Failure
from cli.operations.data_folder import (
    ALL_SERVICES,
    SERVICES,
    SMSC_VARIABLE,
    DataFolder,
    private_files,
)
from cli.options import DEFAULT_DATA, Data
from cli.terminal import say


async def migrate_service(folder: Path, service: str, database_url: str = "") -> str:
    """Migrate one service's database; return its schema's revision."""
    import services
    from services.runtime.storage.database import Database, sqlite_url
    from services.runtime.storage.migrations import migrate as apply

    database = Database(database_url or sqlite_url(folder / f"{service}.db"))
    migrations = Path(str(services.__file__)).parent / service / "migrations"
    try:
        return await apply(database, migrations)
    finally:
        await database.close()


def services_here() -> tuple[str, ...]:
    """Return the services of this installation: messaging only where an SMSC is named."""
    return ALL_SERVICES if os.environ.get(SMSC_VARIABLE) else SERVICES


def migrate(
    data: Data = DEFAULT_DATA,
    service: Annotated[
        str,
        typer.Option(
            help="identity, signing, registry, requests or messaging; all of them if not given."
        ),
    ] = "",
    database_url: Annotated[
        str,
        typer.Option(
            envvar="QAGAZSYZ_DATABASE_URL",
            help="PostgreSQL instead of SQLite, {service} for the service's name.",
        ),
    ] = "",
) -> None:
    """Apply the schema migrations; services do so themselves when they start."""
    private_files()
    if service and service not in ALL_SERVICES:
        raise Failure(f"{service}: not one of {', '.join(ALL_SERVICES)}")
    for name in [service] if service else services_here():
        url = database_url.replace("{service}", name)
        folder = DataFolder(data).of(name)
        if not url and not folder.is_dir():
            raise Failure(f"{data}: not a data folder; run qagazsyz init --data {data} first")
        revision = asyncio.run(migrate_service(folder, name, url))
        say(f"{name}: {revision}")
