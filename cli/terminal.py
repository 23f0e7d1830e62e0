"""Print to a terminal what others may have written, without letting it act on the terminal."""

from __future__ import annotations

import re
from typing import TextIO

from services.runtime.intake.control_characters import CONTROL_CHARACTER

# Half a surrogate pair, which Python reads from a file name that is no UTF-8, cannot be printed.
_LONE_SURROGATE = re.compile(r"[\ud800-\udfff]")


def plain(text: object) -> str:
    """Return a text as a terminal may have it, on one line: control characters as \\u001b.

    In JSON the same escapes stand for the same characters.
    """
    return _LONE_SURROGATE.sub(_escaped, CONTROL_CHARACTER.sub(_escaped, str(text)))


def _escaped(found: re.Match[str]) -> str:
    return f"\\u{ord(found[0]):04x}"


def say(text: object, *, to: TextIO | None = None) -> None:
    """Print one line, which may hold what others have written: every command prints by this."""
    print(plain(text), file=to, flush=True)


def say_json(indented: str) -> None:
    """Print JSON over several lines: every line break in it is the encoder's own."""
    for line in indented.split("\n"):
        say(line)
