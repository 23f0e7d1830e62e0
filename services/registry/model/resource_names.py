"""Resource names (AIP-122): their form, and new ones."""

from __future__ import annotations

import re
from datetime import datetime

from services.runtime.clock import Randomness, uuid7
from services.runtime.errors import InvalidArgument

# AIP-122's ids; with their collection they fit the tables' columns.
_NAME = re.compile(r"([a-zA-Z]+)/[a-z0-9](?:[a-z0-9-]{0,62})")


def is_name(name: str, collection: str) -> bool:
    """Return whether the text has the form of a name in a collection ("subjects")."""
    match = _NAME.fullmatch(name)
    return match is not None and match[1] == collection


def check_name(name: str, collection: str, field: str) -> str:
    """Return the name. Raises InvalidArgument if it is not of that collection."""
    if not is_name(name, collection):
        raise InvalidArgument(field, f'not of the form "{collection}/…"')
    return name


def new_name(collection: str, now: datetime, randomness: Randomness) -> str:
    """Return a new, unique name; names sort by the time they were made."""
    return f"{collection}/{uuid7(now, randomness)}"


def check_text(text: str, limit: int, field: str) -> str:
    """Return the text. Raises InvalidArgument if it is longer than limit characters."""
    if len(text) > limit:
        raise InvalidArgument(field, f"longer than {limit} characters")
    return text
