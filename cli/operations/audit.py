"""`qagazsyz audit`: recompute the log from the registry's database and contents."""

from __future__ import annotations

import asyncio
import json as json_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.errors import CHECK_FAILED, Failure
from cli.operations.data_folder import DataFolder
from cli.options import DEFAULT_DATA, Data, Json
from cli.terminal import say

if TYPE_CHECKING:
    from services.registry.audit.differences import Difference
    from services.registry.settings import RegistrySettings


def audit(
    data: Data = DEFAULT_DATA,
    seen: Annotated[
        list[Path] | None,
        typer.Option(help="A checkpoint received from this log at any time; repeatable."),
    ] = None,
    database_url: Annotated[
        str, typer.Option(envvar="QAGAZSYZ_DATABASE_URL", help="The registry's; SQLite if empty.")
    ] = "",
    contents: Annotated[
        str, typer.Option(envvar="QAGAZSYZ_CONTENTS", help="A folder or s3://bucket/prefix.")
    ] = "",
    json: Json = False,
) -> None:
    """Recompute the log, trusting only its key, and name every difference; exit code 1 if any.

    May run while the suite runs: it reads one snapshot.
    """
    from services.registry.settings import RegistrySettings
    from services.runtime.secret_files import SecretRefused

    folder = DataFolder(data).of("registry")
    if not folder.is_dir():
        raise Failure(f"{data}: not a data folder")
    settings = RegistrySettings(folder=folder, database_url=database_url, contents=contents)
    try:
        differences = asyncio.run(_audit(settings, [path.read_bytes() for path in seen or ()]))
    except SecretRefused as error:
        raise Failure(str(error)) from None
    if json:
        for one in differences:
            say(json_module.dumps({"kind": one.kind, "where": one.where, "what": one.what}))
    else:
        for one in differences:
            say(one)
        say(f"{len(differences)} differences" if differences else "Nothing differs.")
    if differences:
        raise typer.Exit(CHECK_FAILED)


async def _audit(settings: RegistrySettings, seen: list[bytes]) -> list[Difference]:
    from services.registry.audit.audit import audit as find_differences
    from services.registry.audit.source import all_records
    from services.registry.contents.packs import Contents
    from services.registry.main import load_content_key, load_log_key
    from services.runtime.storage.database import Database
    from services.runtime.storage.object_store import open_object_store

    key = load_log_key(settings).verifier
    objects = open_object_store(settings.contents_location())
    contents = Contents(objects, load_content_key(settings))
    database = Database(settings.database())
    try:
        return await find_differences(
            database, contents, objects, key, records=all_records, seen=seen
        )
    finally:
        await database.close()
