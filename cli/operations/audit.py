"""`qagazsyz audit`: recompute the log from the registry's database and contents, and compare it
with what identity keeps."""

from __future__ import annotations

import asyncio
import json as json_module
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.errors import CHECK_FAILED, UNREACHABLE, Failure
from cli.operations.data_folder import DataFolder
from cli.options import DEFAULT_DATA, Data, Json
from cli.terminal import say

if TYPE_CHECKING:
    from services.registry.audit.differences import Difference
    from services.registry.settings import RegistrySettings
    from services.runtime.storage.database import Database


class NotCompared(Exception):
    """Identity was not compared with the log; the message says why."""


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
    identity: Annotated[
        str,
        typer.Option(
            envvar="QAGAZSYZ_IDENTITY_ADDRESS",
            help="Where identity takes calls; that of the suite that runs on the folder if empty.",
        ),
    ] = "",
    json: Json = False,
) -> None:
    """Recompute the log, trusting only its key, and name every difference; exit code 1 if any, 5 if
    it could not look.

    May run while the suite runs: it reads one snapshot. If identity can be reached, its
    certificates and memberships are compared with the log too; if not, standard error says so.
    """
    from sqlalchemy import make_url
    from sqlalchemy.exc import SQLAlchemyError

    from services.registry.settings import RegistrySettings
    from services.runtime.errors import Unavailable
    from services.runtime.secret_files import SecretRefused

    folder = DataFolder(data).of("registry")
    if not folder.is_dir():
        raise Failure(f"{data}: not a data folder")
    settings = RegistrySettings(
        folder=folder,
        # The form that up takes for all services.
        database_url=database_url.replace("{service}", "registry"),
        contents=contents,
        identity_address=identity or _running_identity(data),
    )
    url = make_url(settings.database())
    if url.get_backend_name() == "sqlite" and not Path(url.database or "").is_file():
        # SQLite would make an empty one.
        raise Failure(f"could not look: {url.database} is not there", UNREACHABLE)
    try:
        differences = asyncio.run(_audit(settings, [path.read_bytes() for path in seen or ()]))
    except SecretRefused as error:
        raise Failure(str(error)) from None
    except Unavailable as error:
        raise Failure(f"could not look: {error.message}", UNREACHABLE) from None
    except SQLAlchemyError as error:
        # No such database, or no registry's: the text names the statement, never a value.
        said = str(getattr(error, "orig", None) or error).partition("\n")[0]
        raise Failure(f"could not look: {said}", UNREACHABLE) from None
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
    from services.registry.audit.differences import DifferenceKind
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
        differences = await find_differences(
            database, contents, objects, key, records=all_records, seen=seen
        )
        if any(one.kind is DifferenceKind.DATABASE for one in differences):
            return differences
        try:
            differences += await _compare_with_identity(database, settings)
        except NotCompared as reason:
            say(f"Identity was not compared: {reason}.", to=sys.stderr)
        return differences
    finally:
        await database.close()


async def _compare_with_identity(
    database: Database, settings: RegistrySettings
) -> list[Difference]:
    """Return every difference between identity and the log. Raises NotCompared."""
    import grpc

    from services.registry.audit.identity_audit import compare_with_identity
    from services.registry.identity_events.clients import IdentityEventClient
    from services.runtime.clients import InternalTokens, ServiceClient, open_channel
    from services.runtime.clock import system_clock
    from services.runtime.errors import DeadlineExceeded, Unavailable
    from services.runtime.storage.outages import StorageUnavailable

    if not settings.identity_address:
        raise NotCompared("no suite runs on this folder, and --identity is not given")
    channel = open_channel(settings.identity_address)
    try:
        tokens = InternalTokens.load(channel, settings.credential_file())
        client = IdentityEventClient(ServiceClient(channel, tokens))
        return await compare_with_identity(database, client, system_clock)
    except StorageUnavailable:
        raise  # the registry's own database
    except (Unavailable, DeadlineExceeded) as error:
        raise NotCompared(error.message) from None
    except grpc.aio.AioRpcError as error:
        raise NotCompared(f"identity answers {error.code().name}") from None
    finally:
        await channel.close()


def _running_identity(data: Path) -> str:
    """Return the address of identity in the suite that runs on a data folder, "" if none does."""
    path = data.absolute() / "run" / "identity.sock"
    return f"unix:{path}" if path.is_socket() else ""
