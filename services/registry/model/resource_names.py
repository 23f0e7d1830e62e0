"""Resource names: what they look like, and new ones."""

from __future__ import annotations

import re
from datetime import datetime

from services.runtime.clock import Randomness, uuid7
from services.runtime.errors import InvalidArgument

# As AIP-122 writes ids; with the collection they fit the tables' columns.
_NAME = re.compile(r"([a-zA-Z]+)/[a-z0-9](?:[a-z0-9-]{0,62})")


def is_name(name: str, collection: str) -> bool:
    """Whether it has the form of a name in that collection ("subjects")."""
    match = _NAME.fullmatch(name)
    return match is not None and match[1] == collection


def check_name(name: str, collection: str, field: str) -> str:
    """The name. Raises InvalidArgument naming the field where it is none of that collection."""
    if not is_name(name, collection):
        raise InvalidArgument(field, f'not of the form "{collection}/…"')
    return name


def new_name(collection: str, now: datetime, randomness: Randomness) -> str:
    """A name that nothing else has; those made later sort later."""
    return f"{collection}/{uuid7(now, randomness)}"


def check_text(text: str, limit: int, field: str) -> str:
    """The text. Raises InvalidArgument naming the field where it is too long."""
    if len(text) > limit:
        raise InvalidArgument(field, f"longer than {limit} characters")
    return text
