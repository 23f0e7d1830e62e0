"""`qagazsyz bench`."""

from __future__ import annotations

import enum
import sys
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer


class Part(enum.StrEnum):
    """What can be measured by itself, on a suite of its own."""

    VERIFICATION = "verification"
    HOT_PATH = "hot-path"
    CERTIFICATES = "certificates"
    REGISTRATION = "registration"


def bench(
    only: Annotated[
        list[Part] | None, typer.Option(help="Measure this part only; may be repeated.")
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="The figures alone, shorter and coarser.")
    ] = False,
    postgres: Annotated[
        str,
        typer.Option(
            help="Measure registration on PostgreSQL too: its URL, {service} for the database."
        ),
    ] = "",
    json: Annotated[Path | None, typer.Option(help="Write everything to this file.")] = None,
    markdown: Annotated[
        Path | None, typer.Option(help="Write everything to this file, as tables for a page.")
    ] = None,
) -> None:
    """Measure the suite on this machine, and print tables and what it reaches of its goals.

    verification: each algorithm, batch size and number of signers, in the kernel, in the service
    and through the gateway; CPU of each an item; against cryptography and openssl speed.

    hot-path: scaling, hostile batches, the service's own cost, fairness, memory.

    certificates: signers that are judged; certificates a second, own and of outside authorities;
    what holds identity's event loop.

    registration: documents a second, in batches and by single calls.

    Everything takes about a quarter of an hour, --quick some minutes. Nothing else should run.
    """
    from cli.bench import certificates, hot_path, registration, suite, verification
    from cli.bench.report import Report, machine

    report = Report()
    chosen = only or list(Part)
    typer.echo(f"measured on {machine()}")
    parts: dict[Part, Any] = {
        Part.VERIFICATION: verification.measure,
        Part.HOT_PATH: hot_path.measure,
        Part.CERTIFICATES: certificates.measure,
        Part.REGISTRATION: partial(registration.measure, database="SQLite"),
    }
    for part in chosen:
        # Each with a suite of its own, so that none measures what another left behind.
        with suite.running() as started:
            parts[part](report, started, quick=quick, tell=_tell)
    if Part.REGISTRATION in chosen and postgres:
        with suite.running(database_url=postgres) as started:
            registration.measure(report, started, quick=quick, tell=_tell, database="PostgreSQL")
    report.print_figures()
    if json is not None:
        report.write(json)
    if markdown is not None:
        report.write_markdown(markdown)
    if not all(figure.reached for figure in report.figures):
        typer.echo("not every figure was reached")


def _tell(text: str) -> None:
    print(text, file=sys.stderr)
