"""Pages of a list (AIP-158): page_size by the conventions, page_token opaque to callers.

page = PageRequest.read(request.page_size, request.page_token, of="ListSubjects")
rows = await store.list_subjects(connection, after=page.after, limit=page.limit)
shown, next_page_token = page.cut(rows, key=lambda row: row.name)
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from services.runtime.errors import InvalidArgument

DEFAULT_PAGE_SIZE = 50
# More is read as this (AIP-158).
MAXIMUM_PAGE_SIZE = 1_000
TOKEN_LIMIT = 1_024

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class PageRequest:
    """One page that a caller asks for, of a list whose rows are sorted by one text."""

    # The list: its method and filters. A token serves for that list only.
    of: str
    # Rows that the page may have.
    size: int
    # The sort key behind which the page begins; "" for the first page.
    after: str

    @classmethod
    def read(cls, page_size_asked: int, page_token: str, *, of: str) -> PageRequest:
        """Read page_size and page_token of a request. Raises InvalidArgument naming the field."""
        size = page_size(page_size_asked)
        last = decode_token(page_token, of=of, parts=1)
        return cls(of, size, last[0] if last else "")

    @property
    def limit(self) -> int:
        """How many rows to read: one more than the page has tells whether another follows."""
        return self.size + 1

    def cut(self, rows: Sequence[T], *, key: Callable[[T], str]) -> tuple[list[T], str]:
        """Return the page's rows and the token of the next page, "" where there is no next."""
        shown = list(rows[: self.size])
        more = len(rows) > self.size
        return shown, encode_token([key(shown[-1])], of=self.of) if more else ""


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
        # PostgreSQL holds no NUL, and a lone surrogate is no character (RFC 7493, section 2.1).
        if any("\x00" in x or not x.encode() for x in last):
            raise ValueError
    except (ValueError, TypeError):
        raise InvalidArgument("page_token", "not a token of this list") from None
    return last


def _tag(of: str) -> str:
    return hashlib.sha256(of.encode()).hexdigest()[:16]
