"""Pages of a list (AIP-158): page_size by the conventions, page_token opaque to callers.

page = call.page(request, organization)
rows = await store.list_members(connection, after=page.after, limit=page.limit)
shown, next_page_token = page.cut(rows, key=lambda row: row.name)

A token names the row behind which its page begins. It carries a MAC over that, the method, the
caller and the list's filters, so that callers neither make tokens nor use another's.
"""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from services.runtime.errors import InvalidArgument

DEFAULT_PAGE_SIZE = 50
# More is read as this (AIP-158).
MAXIMUM_PAGE_SIZE = 1_000
TOKEN_LIMIT = 1_024
MAC_BYTES = 16

T = TypeVar("T")


class PageTokens:
    """Makes and reads the page tokens of a service."""

    def __init__(self, secret: bytes) -> None:
        """secret: any of the service's own that its replicas share; the key is derived from it."""
        derived = HKDF(hashes.SHA256(), length=32, salt=None, info=b"qagazsyz page tokens")
        self._key = derived.derive(secret)

    def read(self, page_size: int, page_token: str, *, of: Sequence[str]) -> PageRequest:
        """Read page_size and page_token of a request. Raises InvalidArgument naming the field.

        of: what the token serves for: method, caller, filters.
        """
        return PageRequest(self, tuple(of), _size(page_size), self._decode(page_token, of))

    def encode(self, last: str, of: Sequence[str]) -> str:
        """Return the token of the page behind the row with this sort key."""
        body = json.dumps(last).encode()
        return _text(self._mac(body, of) + body)

    def _decode(self, token: str, of: Sequence[str]) -> str:
        """Return the sort key that a token names, "" for the first page. Raises InvalidArgument."""
        if not token:
            return ""
        refusal = InvalidArgument("page_token", "not a token of this list")
        try:
            if len(token) > TOKEN_LIMIT:
                raise refusal
            data = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        except ValueError:
            raise refusal from None
        mac, body = data[:MAC_BYTES], data[MAC_BYTES:]
        # Of the texts that base64 reads as the same bytes, only the one that was given counts.
        if not hmac.compare_digest(mac, self._mac(body, of)) or _text(data) != token:
            raise refusal
        return str(json.loads(body))

    def _mac(self, body: bytes, of: Sequence[str]) -> bytes:
        signed = json.dumps(of).encode() + b"\n" + body
        return hmac.digest(self._key, signed, "sha256")[:MAC_BYTES]


@dataclass(frozen=True, slots=True)
class PageRequest:
    """One page that a caller asks for, of a list whose rows are sorted by one text."""

    tokens: PageTokens
    # What its tokens serve for: method, caller, filters.
    of: tuple[str, ...]
    # Rows that the page may have.
    size: int
    # The sort key behind which the page begins; "" for the first page.
    after: str

    @property
    def limit(self) -> int:
        """How many rows to read: one more than the page has tells whether another follows."""
        return self.size + 1

    def cut(self, rows: Sequence[T], *, key: Callable[[T], str]) -> tuple[list[T], str]:
        """Return the page's rows and the token of the next page, "" where there is no next."""
        shown = list(rows[: self.size])
        more = len(rows) > self.size
        return shown, self.tokens.encode(key(shown[-1]), self.of) if more else ""


def _text(token: bytes) -> str:
    return base64.urlsafe_b64encode(token).decode().rstrip("=")


def _size(asked: int) -> int:
    """How many rows the page may have. Raises InvalidArgument for a negative size."""
    if asked < 0:
        raise InvalidArgument("page_size", "negative")
    return min(asked, MAXIMUM_PAGE_SIZE) or DEFAULT_PAGE_SIZE
