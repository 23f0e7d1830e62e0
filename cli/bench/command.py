"""`qagazsyz bench`."""

from __future__ import annotations

import enum
import sys
from pathlib import Path
from typing import Annotated

import typer


class Part(enum.StrEnum):
    """What can be measured by itself."""

    VERIFICATION = "verification"
    HOT_PATH = "hot-path"


def bench(
    only: Annotated[
        list[Part] | None, typer.Option(help="Measure this part only; may be repeated.")
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="The figures alone, shorter and coarser.")
    ] = False,
    json: Annotated[Path | None, typer.Option(help="Write everything to this file.")] = None,
) -> None:
    """Measure the suite on this machine and print what it reaches."""
    from cli.bench import hot_path, suite, verification
    from cli.bench.report import Report, machine

    report = Report()
    chosen = only or list(Part)
    typer.echo(f"measured on {machine()}")
    parts = {Part.VERIFICATION: verification.measure, Part.HOT_PATH: hot_path.measure}
    for part in chosen:
        # Each with a suite of its own, so that none measures what another left behind.
        with suite.running() as started:
            parts[part](report, started, quick=quick, tell=_tell)
    report.print_figures()
    if json is not None:
        report.write(json)
    if not all(figure.reached for figure in report.figures):
        typer.echo("not every figure was reached")


def _tell(text: str) -> None:
    print(text, file=sys.stderr)
