"""Signed texts that come in requests (qagazsyz.canonical_texts)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from qagazsyz.canonical_texts import TextError
from services.runtime.errors import InvalidArgument

T = TypeVar("T")


def parse_text(parse: Callable[[bytes], T], text: bytes, field: str) -> T:
    """Return what the text of a field is. parse: a declared text's. Raises InvalidArgument."""
    try:
        return parse(text)
    except TextError as error:
        raise InvalidArgument(field, str(error)) from None
