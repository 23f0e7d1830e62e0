"""Resource names (AIP-122) and texts: their form, and new names."""

from __future__ import annotations

import re
from datetime import datetime

from services.runtime.clock import Randomness, uuid7
from services.runtime.errors import InvalidArgument

_NAME = re.compile(r"([a-zA-Z]+)/[a-z0-9](?:[a-z0-9-]{0,62})")


def check_name(name: str, collection: str, field: str) -> str:
    """Return the name. Raises InvalidArgument if it is not of that collection."""
    found = _NAME.fullmatch(name)
    if found is None or found[1] != collection:
        raise InvalidArgument(field, f'not of the form "{collection}/…"')
    return name


def new_name(collection: str, now: datetime, randomness: Randomness) -> str:
    """Return a new, unique name; names sort by the time they were made."""
    return f"{collection}/{uuid7(now, randomness)}"


def check_text(text: str, limit: int, field: str) -> str:
    """Return the text. Raises InvalidArgument if it is blank, or longer than limit characters."""
    if not text.strip():
        raise InvalidArgument(field, "is required")
    if len(text) > limit:
        raise InvalidArgument(field, f"longer than {limit} characters")
    return text
