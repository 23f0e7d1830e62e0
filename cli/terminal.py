"""Print to a terminal what others may have written, without letting it act on the terminal."""

from __future__ import annotations

import re
from typing import TextIO

# What a terminal would act on, or show in another order, instead of showing it.
_UNSHOWN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


def plain(text: object) -> str:
    """Return a text as a terminal may have it: control characters as \\u001b, lines as they are.

    In JSON the same escapes stand for the same characters.
    """
    return _UNSHOWN.sub(lambda found: f"\\u{ord(found[0]):04x}", str(text))


def say(text: object, *, to: TextIO | None = None) -> None:
    """Print a line, which may hold what others have written: every command prints by this."""
    print(plain(text), file=to, flush=True)
