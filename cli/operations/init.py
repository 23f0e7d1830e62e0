"""`qagazsyz init`: makes a data folder, offline."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.errors import Failure
from cli.operations.data_folder import DataFolder
from cli.options import DEFAULT_DATA, Data


def init(
    data: Data = DEFAULT_DATA,
    operator_iin: Annotated[
        str, typer.Option(help="The first operator's IIN; a made-up one if not given.")
    ] = "",
    operator_name: Annotated[
        str, typer.Option(help='The first operator: "FAMILY GIVEN [PATRONYMIC]".')
    ] = "Оператор Бірінші",
    platform_name: Annotated[
        str, typer.Option(help="The platform's own organization.")
    ] = "Qagazsyz",
) -> None:
    """Make keys, certificates and the first operator's credential in a new data folder."""
    from services.identity.seed import create_platform
    from services.identity.subjects.iin_bin import InvalidNumber
    from services.runtime.clock import system_clock, system_randomness

    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Empty folders are a container's mounts; anything in them is somebody's.
    if any(path.is_file() for path in data.rglob("*")):
        raise Failure(f"{data} is in use")
    # A container's folder is right already, and cannot be changed where its root is read-only.
    if data.stat().st_mode & 0o077:
        data.chmod(0o700)
    try:
        create_platform(
            data,
            platform_name=platform_name,
            operator_iin=operator_iin,
            operator_name=operator_name,
            now=system_clock(),
            randomness=system_randomness,
        )
    except InvalidNumber as error:
        raise Failure(f"--operator-iin: {error}") from None
    typer.echo(f"made {data}; the first operator's credential is {DataFolder(data).operator}")
