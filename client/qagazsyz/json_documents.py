"""Documents in JSON: read so that nobody reads them otherwise, and looked into by pointers."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import date
from typing import Any


def parse_json(text: str, parse_float: Callable[[str], Any] = float) -> Any:
    """Return the value that the text is (RFC 8259). Raises ValueError, also for an object with a
    repeated name, of which parsers differ in the value they take, for a number that is none, and
    for one nested too deep."""
    try:
        return json.loads(
            text,
            object_pairs_hook=_distinct,
            parse_float=parse_float,
            parse_constant=_refuse_constant,
        )
    except RecursionError:
        raise ValueError("nested too deep") from None


def resolve_pointer(value: Any, pointer: str) -> tuple[bool, Any]:
    """Return whether the pointer names a value, and which (RFC 6901, section 4)."""
    for part in pointer.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        if isinstance(value, dict) and name in value:
            value = value[name]
        elif isinstance(value, list) and _is_index(name, value):
            value = value[int(name)]
        else:
            return False, None
    return True, value


def is_full_date(text: str) -> bool:
    """Return whether the text is a day, "2027-01-31" (RFC 3339, full-date)."""
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def _is_index(text: str, items: Sequence[Any]) -> bool:
    """Return whether the text is an index of the list, without leading zeros."""
    return (
        text.isascii()
        and text.isdigit()
        and len(text) <= len(str(len(items)))
        and str(int(text)) == text
        and int(text) < len(items)
    )


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a name is repeated")
    return members


def _refuse_constant(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")
