"""The tool "qagazsyz": what operators, officers and other teams type.

Commands import what they need when they run, so that --help answers at once.
"""

from __future__ import annotations

import os
import sys

import typer

from cli.audit import audit
from cli.bench.command import bench
from cli.certificate import certificate
from cli.demo.main import demo
from cli.document import document
from cli.failures import explain, report
from cli.health import health
from cli.init import init
from cli.keys import keys
from cli.log import log
from cli.migrate import migrate
from cli.receipt import receipt
from cli.serve import serve
from cli.subject import subject
from cli.token import token
from cli.traces import traces
from cli.up import up
from cli.verify import WHICH, verify

# What gRPC says on standard error by itself is no line of ours, and can name a header that a caller
# sent. It also readies itself for being forked, which nothing here needs: processes that are
# started become other programs at once (macOS forks for it, Linux does not).
QUIET_GRPC = {"GRPC_VERBOSITY": "NONE", "GRPC_ENABLE_FORK_SUPPORT": "0"}

tool = typer.Typer(
    name="qagazsyz",
    help="Qagazsyz: signed documents that nobody has to carry.",
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
tool.command()(verify)
tool.add_typer(subject, name="subject")
tool.add_typer(certificate, name="certificate")
tool.add_typer(document, name="document")
tool.add_typer(receipt, name="receipt")
tool.add_typer(log, name="log")
tool.command()(audit)
tool.add_typer(keys, name="keys")
tool.command()(health)
tool.command()(traces)
tool.command()(demo)
tool.command()(bench)


def app() -> None:
    """Runs the tool; what is no defect ends in one line and an exit code."""
    for name, value in QUIET_GRPC.items():
        os.environ.setdefault(name, value)
    if sys.argv[1:] == ["verify", "--backend"]:
        sys.argv.append(WHICH)  # without a name it asks which one is in use
    try:
        tool()
    except Exception as error:
        failure = explain(error)
        if failure is None:
            raise
        sys.exit(report(failure))


if __name__ == "__main__":
    app()
