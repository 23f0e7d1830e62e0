"""`qagazsyz bench` and `python -m benchmarks`."""

from __future__ import annotations

from typer.testing import CliRunner

from benchmarks.command import Part
from cli.main import tool


def test_help_says_what_each_part_measures() -> None:
    told = CliRunner().invoke(tool, ["bench", "--help"]).output
    for part in Part:
        assert f"  {part.value}: " in told
