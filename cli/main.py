"""The command line tool "qagazsyz", for operators, officers and other teams.

Commands import what they need when they run, so that --help answers at once.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from pathlib import Path

import typer

from cli.commands.certificate import certificate
from cli.commands.confirm import confirm
from cli.commands.document import document
from cli.commands.log import log
from cli.commands.mobile import mobile
from cli.commands.phone import phone
from cli.commands.receipt import receipt
from cli.commands.request import request
from cli.commands.service import service
from cli.commands.statistics import statistics
from cli.commands.subject import subject
from cli.commands.token import token
from cli.commands.verify import WHICH, verify
from cli.errors import explain, report
from cli.operations.audit import audit
from cli.operations.health import health
from cli.operations.init import init
from cli.operations.keys import keys
from cli.operations.migrate import migrate
from cli.operations.phones import phones
from cli.operations.serve import serve
from cli.operations.traces import traces
from cli.operations.up import up

# gRPC's own log lines on standard error are not ours, and may name a header that a caller sent.
# Its fork handlers are not needed: a process that is started here executes another program at once
# (macOS forks for it, Linux does not).
QUIET_GRPC = {"GRPC_VERBOSITY": "NONE", "GRPC_ENABLE_FORK_SUPPORT": "0"}

CHECKOUT = Path(__file__).parents[1]
CHECKOUT_COMMANDS = {"demo": "demo.main", "bench": "benchmarks.command"}

tool = typer.Typer(
    name="qagazsyz",
    help="Qagazsyz: signed documents instead of paper.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode=None,
)
tool.command()(init)
tool.command()(up)
tool.command()(serve)
tool.command()(migrate)
tool.command()(token)
tool.command()(confirm)
tool.command()(verify)
tool.add_typer(subject, name="subject")
tool.add_typer(certificate, name="certificate")
tool.add_typer(phone, name="phone")
tool.add_typer(mobile, name="mobile")
tool.add_typer(document, name="document")
tool.add_typer(receipt, name="receipt")
tool.add_typer(service, name="service")
tool.add_typer(request, name="request")
tool.command()(statistics)
tool.add_typer(log, name="log")
tool.command()(audit)
tool.add_typer(keys, name="keys")
tool.add_typer(phones, name="phones")
tool.command()(health)
tool.command()(traces)


def _add_checkout_commands() -> None:
    """Add the commands of a source checkout: demo and bench are not in the wheel, because their
    dependencies (a font, a PDF writer) have no place on a server."""
    for name, module in CHECKOUT_COMMANDS.items():
        if CHECKOUT.joinpath(*module.split(".")).with_suffix(".py").is_file():
            tool.command()(getattr(importlib.import_module(module), name))


_add_checkout_commands()


def app() -> None:
    """Run the tool."""
    if sys.argv[1:] == ["verify", "--backend"]:
        sys.argv.append(WHICH)  # without a name, print which one is in use
    run(tool)


def run(command: Callable[[], object]) -> None:
    """Run a command line; report every error that is no defect in one line, with its exit code."""
    for name, value in QUIET_GRPC.items():
        os.environ.setdefault(name, value)
    try:
        command()
    except Exception as error:
        failure = explain(error)
        if failure is None:
            raise
        sys.exit(report(failure))


if __name__ == "__main__":
    app()
