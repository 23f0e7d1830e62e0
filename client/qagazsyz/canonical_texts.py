"""Signed texts of one form: a first line, a line feed, and a canonical JSON object (RFC 8785).

encode makes one; Members reads one strictly. A module that declares such a text parses it by making
its value from the members and encoding that again (same_text), so that no member more, no other
order and no other form of a value is taken.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

import rfc8785

# A template has 16 KiB at most, evidence at most 16 items; a longer text is refused unread.
TEXT_LIMIT_BYTES = 65_536

_VERSION = 1
_HEX = re.compile(r"(?:[0-9a-f]{2})*", re.ASCII)
_NUMBER_LIMIT = 2**31

T = TypeVar("T")


class TextError(ValueError):
    """The bytes are not the text that they should be, or two texts do not belong together."""


def encode(first_line: str, members: Mapping[str, Any]) -> bytes:
    """Return the text of these members, beside its version."""
    return first_line.encode() + b"\n" + rfc8785.dumps({"v": _VERSION, **members})


def same_text(text: bytes, make: Callable[[], T], encode: Callable[[T], bytes]) -> T:
    """Return what make makes, if it encodes to the text: no member more, none in another form."""
    try:
        made = make()
        is_same = encode(made) == text
    except TextError:
        raise
    except (ValueError, OverflowError) as error:
        raise TextError(str(error)) from None
    if not is_same:
        raise TextError("the text is not in its canonical form")
    return made


class Members:
    """The members of a text's object. Every method raises TextError naming the member."""

    def __init__(self, first_line: str, text: bytes) -> None:
        if len(text) > TEXT_LIMIT_BYTES:
            raise TextError("the text is too long")
        beginning = first_line.encode() + b"\n"
        if not text.startswith(beginning):
            raise TextError(f"the text does not begin with the line {first_line!r}")
        try:
            members = json.loads(text[len(beginning) :])
        # RecursionError: nested too deep.
        except (ValueError, RecursionError):
            raise TextError("the text holds no JSON") from None
        if not isinstance(members, dict):
            raise TextError("the text holds no object")
        self._members = members

    def text(self, name: str) -> str:
        return check_text(self._members.get(name), name)

    def number(self, name: str) -> int:
        value = self._members.get(name)
        if type(value) is not int or not 0 <= value < _NUMBER_LIMIT:
            raise TextError(f"{name} is no whole number")
        return value

    def flag(self, name: str) -> bool:
        return check_flag(self._members.get(name))

    def bytes(self, name: str, length: int) -> bytes:
        text = self.text(name)
        if not _HEX.fullmatch(text) or len(text) != 2 * length:
            raise TextError(f"{name} is not {length} bytes in lower-case hexadecimal")
        return bytes.fromhex(text)

    def time(self, name: str) -> datetime:
        text = self.text(name)
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            raise TextError(f"{name} is no time") from None
        if not text.endswith("Z"):
            raise TextError(f"{name} is not in UTC")
        return moment

    def list(self, name: str, limit: int) -> Sequence[dict[str, Any]]:
        value = self._members.get(name)
        if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
            raise TextError(f"{name} is no list of objects")
        if len(value) > limit:
            raise TextError(f"{name} has more than {limit} items")
        return value


def check_text(value: Any, name: str) -> str:
    """Return the value, if it is a text. Raises TextError."""
    if not isinstance(value, str):
        raise TextError(f"{name} is no text")
    return value


def check_flag(value: Any) -> bool:
    """Return the value, if it is true or false. Raises TextError."""
    if not isinstance(value, bool):
        raise TextError("a flag is neither true nor false")
    return value


def format_seconds(moment: datetime) -> str:
    """Return the time as RFC 3339, UTC, in whole seconds: "2027-01-31T00:00:00Z"."""
    # isoformat, unlike strftime, writes years before 1000 with four digits.
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="seconds") + "Z"


def format_microseconds(moment: datetime) -> str:
    """Return the time as RFC 3339, UTC, in microseconds: "2027-01-31T00:00:00.000000Z"."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"
