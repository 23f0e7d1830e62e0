"""Report what was measured: tables for people and for a page, JSON for machines."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

# Characters of the widest table, in a file as on a terminal.
WIDTH = 200


@dataclass(frozen=True, slots=True)
class Figure:
    """A goal of the project, and what was measured. Either at_least or at_most is set."""

    name: str
    measured: float
    at_least: float | None = None
    at_most: float | None = None
    unit: str = ""

    @property
    def reached(self) -> bool:
        if self.at_least is not None:
            return self.measured >= self.at_least
        return self.at_most is not None and self.measured <= self.at_most

    @property
    def goal(self) -> str:
        if self.at_least is not None:
            return f"≥ {number(self.at_least)}"
        assert self.at_most is not None  # noqa: S101 - one of the two
        return f"≤ {number(self.at_most)}"


@dataclass(slots=True)
class Report:
    """All that one run has measured."""

    tables: list[tuple[str, list[dict[str, Any]]]] = field(default_factory=list)
    figures: list[Figure] = field(default_factory=list)
    console: Console = field(default_factory=lambda: Console(width=WIDTH))

    def table(self, title: str, rows: Sequence[dict[str, Any]]) -> None:
        """Print a table at once, and keep it."""
        self.tables.append((title, list(rows)))
        if not rows:
            return
        table = Table(title=title, title_justify="left")
        for column in rows[0]:
            first = rows[0][column]
            table.add_column(column, justify="left" if isinstance(first, str) else "right")
        for row in rows:
            table.add_row(*(number(value) for value in row.values()))
        self.console.print(table)

    def figure(self, figure: Figure) -> None:
        self.figures.append(figure)

    def print_figures(self) -> None:
        """Print the figures with their goals."""
        table = Table(title="Figures", title_justify="left")
        for column in ("figure", "goal", "measured", ""):
            table.add_column(column, justify="left" if column == "figure" else "right")
        for figure in self.figures:
            table.add_row(
                figure.name,
                figure.goal,
                f"{number(figure.measured)} {figure.unit}".strip(),
                "reached" if figure.reached else "NOT REACHED",
            )
        self.console.print(table)

    def write_markdown(self, path: Path) -> None:
        """Write the figures and all tables as Markdown."""
        goals = [
            {
                "figure": figure.name,
                "goal": figure.goal,
                "measured": f"{number(figure.measured)} {figure.unit}".strip(),
                "": "" if figure.reached else "not reached",
            }
            for figure in self.figures
        ]
        today = datetime.now(UTC).date().isoformat()
        parts = [f"Measured on {today}: {machine()}.\n"]
        parts += [
            f"## {title}\n\n{_markdown(rows)}" for title, rows in [("Figures", goals), *self.tables]
        ]
        path.write_text("\n".join(parts))

    def write(self, path: Path) -> None:
        """Write everything as JSON."""
        path.write_text(
            json.dumps(
                {
                    "time": datetime.now(UTC).isoformat(timespec="seconds"),
                    "machine": machine(),
                    "tables": [{"title": title, "rows": rows} for title, rows in self.tables],
                    "figures": [
                        asdict(figure) | {"reached": figure.reached} for figure in self.figures
                    ],
                },
                indent=1,
                ensure_ascii=False,
            )
        )


def _markdown(rows: Sequence[dict[str, Any]]) -> str:
    if not rows:
        return "Nothing was measured.\n"
    first = rows[0]
    sides = ["---" if isinstance(value, str) else "--:" for value in first.values()]
    lines = [list(first), sides, *([number(value) for value in row.values()] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def number(value: Any) -> str:
    """Format a number with three significant digits; return a text as it is."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return str(value)
    if isinstance(value, int) or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def machine() -> str:
    """Describe this machine: processor, cores, system, Python."""
    model = platform.processor() or platform.machine()
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    except OSError:
        pass
    return (
        f"{model}, {os.cpu_count()} cores, {platform.system()} {platform.machine()}, "
        f"Python {platform.python_version()}"
    )
