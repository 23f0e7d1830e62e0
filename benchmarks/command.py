"""`qagazsyz bench`: measure the suite on this machine."""

from __future__ import annotations

import enum
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer


class Part(enum.StrEnum):
    """The parts of the benchmarks, each measured on a suite of its own."""

    VERIFICATION = "verification"
    HOT_PATH = "hot-path"
    CERTIFICATES = "certificates"
    REGISTRATION = "registration"
    PHONES = "phones"
    GROWTH = "growth"


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
            help="A PostgreSQL to measure registration on too, with {service} for the database; "
            "one of the bench's own where Debian's packages are installed."
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

    registration: documents a second, in batches and by single calls, on SQLite and PostgreSQL.

    phones: signatures on phones a second, through the simulated network, and how long one takes.

    growth: what a document costs in a log of a million entries, against one of ten thousand.

    Everything takes about half an hour, --quick some minutes. Nothing else should run.
    """
    # As in tests/conftest.py: PostgreSQL is started as another user, by a fork.
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
    from benchmarks import certificates, growth, hot_path, mobile, registration, suite, verification
    from benchmarks.report import Report, machine

    report = Report()
    chosen = only or list(Part)
    typer.echo(f"measured on {machine()}")
    parts: dict[Part, Any] = {
        Part.VERIFICATION: verification.measure,
        Part.HOT_PATH: hot_path.measure,
        Part.CERTIFICATES: certificates.measure,
        Part.REGISTRATION: partial(registration.measure, database="SQLite"),
        Part.GROWTH: growth.measure,
    }
    if Part.PHONES in chosen:
        with (
            tempfile.TemporaryDirectory(prefix="qagazsyz-phones-") as folder,
            mobile.phone_network(Path(folder) / "phones") as network,
            suite.running(settings=network.environment()) as started,
        ):
            mobile.measure(report, started, network, quick=quick, progress=_progress)
    for part in (each for each in chosen if each in parts):
        # A suite of its own for each, so that no part measures what another has left behind.
        with suite.running() as started:
            parts[part](report, started, quick=quick, progress=_progress)
    if Part.REGISTRATION in chosen:
        with _postgres(postgres) as (url, server):
            if url:
                with suite.running(database_url=url) as started:
                    registration.measure(
                        report,
                        started,
                        quick=quick,
                        progress=_progress,
                        database="PostgreSQL",
                        server=server,
                    )
    report.print_figures()
    if json is not None:
        report.write(json)
    if markdown is not None:
        report.write_markdown(markdown)
    if not all(figure.reached for figure in report.figures):
        typer.echo("not every figure was reached")


@contextmanager
def _postgres(url: str) -> Iterator[tuple[str, int | None]]:
    """Yield the given URL, or that of a cluster started for this and its process id, or ""."""
    from cli.operations.data_folder import SERVICES
    from testing import postgres

    binaries = None if url else postgres.find_binaries()
    if binaries is None:
        if not url:
            _progress("left out: registration on PostgreSQL, which is not installed")
        yield url, None
        return
    with postgres.running(binaries, postgres.MEASURED) as cluster:
        for service in SERVICES:
            cluster.create_database(service)
        yield cluster.url("{service}"), cluster.pid


def _progress(text: str) -> None:
    print(text, file=sys.stderr)
