"""Lay out text on a phone's screen, page by page, and draw the screen for a terminal."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Screen:
    """Rows and columns of characters."""

    rows: int
    columns: int

    def pages(self, text: str) -> list[str]:
        """Return the text in pages of at most rows times columns characters, nothing left out.

        A line that is too long breaks at a space where there is one in reach, else within the word.
        The pages together, with the spaces that a break took, are the text: whoever signs has seen
        all of it.
        """
        lines = [each for line in text.split("\n") for each in self._broken(line)]
        return [
            "\n".join(lines[start : start + self.rows]) for start in range(0, len(lines), self.rows)
        ]

    def _broken(self, line: str) -> list[str]:
        lines: list[str] = []
        rest = line
        while len(rest) > self.columns:
            # The space may stand right behind a full line.
            space = rest.rfind(" ", 1, self.columns + 1)
            end = space if space > 0 else self.columns
            lines.append(rest[:end])
            rest = rest[end + 1 :] if space > 0 else rest[end:]
        return [*lines, rest]

    def draw(self, page: str, note: str = "") -> str:
        """Return the screen with a frame around it, and a note behind: "2/5"."""
        lines = page.split("\n")
        rows = [line[: self.columns].ljust(self.columns) for line in lines[: self.rows]]
        rows += [" " * self.columns] * (self.rows - len(rows))
        edge = "─" * self.columns
        framed = [f"┌{edge}┐", *(f"│{row}│" for row in rows), f"└{edge}┘"]
        if note:
            framed[-1] += f" {note}"
        return "\n".join(framed)


# The phones that mobile signatures must work on: one line, two lines, a small modern one.
SCREENS = {"1x16": Screen(1, 16), "2x16": Screen(2, 16), "8x20": Screen(8, 20)}
