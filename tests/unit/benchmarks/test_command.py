"""`qagazsyz bench` and `python -m benchmarks`."""

from __future__ import annotations

import subprocess
import sys

from typer.testing import CliRunner

from benchmarks.command import Part
from cli.errors import WRONG_USE
from cli.main import CHECKOUT, tool


def test_help_says_what_each_part_measures() -> None:
    told = CliRunner().invoke(tool, ["bench", "--help"]).output
    for part in Part:
        assert f"  {part.value}: " in told


def test_the_package_runs_as_the_command_does() -> None:
    """Their options are the same, whichever way they are started."""
    package = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--help"],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    command = CliRunner().invoke(tool, ["bench", "--help"]).output
    options = command.partition("Options:")[2].split()
    assert options
    assert package.partition("Options:")[2].split() == options


def test_a_wrong_use_of_the_package_ends_in_a_line_and_not_in_a_traceback() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--only", "nothing"],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == WRONG_USE
    assert "Traceback" not in done.stderr
