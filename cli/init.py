"""`qagazsyz init`: makes a data folder, offline."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.failures import Failure
from cli.options import DEFAULT_DATA, Data


def init(
    data: Data = DEFAULT_DATA,
    operator_iin: Annotated[
        str, typer.Option(help="The first operator's IIN; a made-up one if not given.")
    ] = "",
    operator_name: Annotated[
        str, typer.Option(help='The first operator: "FAMILY GIVEN [PATRONYMIC]".')
    ] = "Оператор Бірінші",
) -> None:
    """Make keys, certificates and the first operator's credential in a new data folder."""
    raise Failure("not yet")
