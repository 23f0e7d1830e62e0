"""`qagazsyz keys`: make and change the key-encryption key of the signing service."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Annotated

import typer

from cli.errors import Failure
from cli.operations.data_folder import KEY_ENCRYPTION_KEY, PREVIOUS_KEY_ENCRYPTION_KEY, DataFolder
from cli.options import DEFAULT_DATA, Data
from cli.output import write_secret
from cli.terminal import say

keys = typer.Typer(help="The key-encryption key.", no_args_is_help=True)


@keys.command()
def new(out: Annotated[Path, typer.Argument(help="File for the new key.")]) -> None:
    """Make a key-encryption key, for rewrap --new."""
    write_secret(out, _fresh_key())


def _fresh_key() -> bytes:
    from services.runtime.clock import system_clock
    from services.runtime.sealing import SecretKey

    return SecretKey.generate(system_clock()).to_line()


@keys.command()
def rewrap(
    data: Data = DEFAULT_DATA,
    old: Annotated[
        Path | None, typer.Option(help="The present key, if not that of the data folder.")
    ] = None,
    new: Annotated[Path | None, typer.Option(help="The key to move to, with --old.")] = None,
    database_url: Annotated[
        str, typer.Option(envvar="QAGAZSYZ_DATABASE_URL", help="The signing service's database.")
    ] = "",
) -> None:
    """Move every private key and every SIM's key to a new key-encryption key.

    In a data folder, while up does not run there, this makes the new key too. With --old and --new
    it only moves, while services that have both keys (QAGAZSYZ_PREVIOUS_KEY_ENCRYPTION_KEY) serve.
    """
    from services.runtime.storage.database import sqlite_url

    folder = DataFolder(data)
    if (old is None) != (new is None):
        raise Failure("--old and --new go together")
    url = database_url or sqlite_url(folder.of("signing") / "signing.db")
    if old is not None and new is not None:
        moved = asyncio.run(_rewrap(url, old, new))
    else:
        if not folder.is_initialized():
            raise Failure(f"{data}: not a data folder")
        with folder.lock():
            current = folder.of("signing") / KEY_ENCRYPTION_KEY
            previous = folder.of("signing") / PREVIOUS_KEY_ENCRYPTION_KEY
            # A run that was interrupted has left the previous key: finish that one first.
            if not previous.exists():
                os.link(current, previous)
            if previous.read_bytes() == current.read_bytes():
                draft = folder.of("signing") / f"{KEY_ENCRYPTION_KEY}.new"
                draft.unlink(missing_ok=True)
                write_secret(draft, _fresh_key())
                draft.replace(current)
            moved = asyncio.run(_rewrap(url, previous, current))
            previous.unlink()
    say(f"{moved} keys moved")


async def _rewrap(url: str, old: Path, new: Path) -> int:
    from services.runtime.sealing import CannotUnseal, SecretKey
    from services.runtime.secret_files import SecretRefused
    from services.runtime.storage.database import Database
    from services.runtime.storage.migrations import migrate
    from services.signing.keys.rewrap import rewrap as move
    from services.signing.main import MIGRATIONS
    from services.signing.sims.rewrap import rewrap as move_sims

    database = Database(url)
    try:
        # A database of an earlier version lacks a table.
        await migrate(database, MIGRATIONS)
        keys = SecretKey.load(old), SecretKey.load(new)
        return await move(database, *keys) + await move_sims(database, *keys)
    except (SecretRefused, CannotUnseal, ValueError) as error:
        raise Failure(f"not moved: {error}") from None
    finally:
        await database.close()
