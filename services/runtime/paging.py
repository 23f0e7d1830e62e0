"""Pages of a list: page_size by the conventions, page_token opaque to callers."""

from __future__ import annotations

import base64
import hashlib
import json

from services.runtime.errors import InvalidArgument

DEFAULT_PAGE_SIZE = 50
# More is read as this (AIP-158).
MAXIMUM_PAGE_SIZE = 1_000
TOKEN_LIMIT = 1_024


def page_size(asked: int) -> int:
    """How many rows the page may have. Raises InvalidArgument for a negative size."""
    if asked < 0:
        raise InvalidArgument("page_size", "negative")
    return min(asked, MAXIMUM_PAGE_SIZE) or DEFAULT_PAGE_SIZE


def encode_token(last: list[str], *, of: str) -> str:
    """The token of the page behind the row with this sort key, in the list named by "of"
    (the method and its filters): it serves for that list only."""
    body = json.dumps([_tag(of), *last], separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(body).decode().rstrip("=")


def decode_token(token: str, *, of: str, parts: int) -> list[str] | None:
    """The sort key that a token names, or None for the first page. Raises InvalidArgument."""
    if not token:
        return None
    try:
        if len(token) > TOKEN_LIMIT:
            raise ValueError
        body = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        last: list[str]
        tag, *last = json.loads(body)
        if tag != _tag(of) or len(last) != parts or not all(isinstance(x, str) for x in last):
            raise ValueError
        if any("\x00" in x for x in last):
            raise ValueError
    except (ValueError, TypeError):
        raise InvalidArgument("page_token", "not a token of this list") from None
    return last


def _tag(of: str) -> str:
    return hashlib.sha256(of.encode()).hexdigest()[:16]
