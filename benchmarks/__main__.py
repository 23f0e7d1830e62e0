"""`python -m benchmarks`: the same as `qagazsyz bench`."""

import typer

from benchmarks.command import bench
from cli.main import run

command = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
command.command()(bench)

if __name__ == "__main__":
    run(command)
