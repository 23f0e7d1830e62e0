"""Attributes: what structured documents say, one thing at a time.

A type that declares attributes has JSON contents. Each attribute is a place in
the content, a JSON pointer (RFC 6901), and the kind of value that stands
there; contents that say otherwise are refused when they are registered, so
that a look-up of one attribute needs no more than the document's own word.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import IntEnum
from typing import Any, NoReturn

from services.runtime.errors import InvalidArgument

# documents.proto: DocumentType.attributes, LookUpAttributeRequest.attributes.
ATTRIBUTES_LIMIT = 100
ASKED_LIMIT = 16
# Parsed on the event loop: a few milliseconds at most.
CONTENT_LIMIT_BYTES = 256 * 1024
POINTER_LENGTH = 200

# RFC 6901, section 3, without the whole document, which is no single attribute.
_POINTER = re.compile(r"(?:/(?:[^~/]|~[01])*)+")
# RFC 8259's media type, and those made on it (RFC 6839).
_JSON = re.compile(r"application/(?:[A-Za-z0-9.+-]+\+)?json(?:;.*)?")


class Kind(IntEnum):
    """qagazsyz.registry.v1.AttributeKind."""

    TEXT = 1
    NUMBER = 2
    BOOLEAN = 3
    DATE = 4


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute that a type declares."""

    pointer: str
    kind: int
    is_required: bool
    display_names: Mapping[str, str]


def check_attributes(attributes: Sequence[Attribute], field: str) -> None:
    """Returns where a type may declare them. Raises InvalidArgument naming what it may not."""
    if len(attributes) > ATTRIBUTES_LIMIT:
        raise InvalidArgument(field, f"more than {ATTRIBUTES_LIMIT}")
    seen: set[str] = set()
    for index, attribute in enumerate(attributes):
        where = f"{field}[{index}]"
        if len(attribute.pointer) > POINTER_LENGTH or not _POINTER.fullmatch(attribute.pointer):
            raise InvalidArgument(f"{where}.pointer", "no JSON pointer")
        if attribute.pointer in seen:
            raise InvalidArgument(f"{where}.pointer", "declared twice")
        if attribute.kind not in Kind.__members__.values():
            raise InvalidArgument(f"{where}.kind", "is required")
        seen.add(attribute.pointer)


def check_content(media_type: str, content: bytes, attributes: Sequence[Attribute]) -> None:
    """Returns where the content says what its type declares. Raises InvalidArgument."""
    if not _JSON.fullmatch(media_type):
        raise InvalidArgument("document.media_type", "documents of this type are JSON")
    if len(content) > CONTENT_LIMIT_BYTES:
        raise InvalidArgument("content", f"more than {CONTENT_LIMIT_BYTES} bytes of JSON")
    said = read_content(content)
    if said is None:
        raise InvalidArgument("content", "no JSON object")
    for attribute in attributes:
        is_said, value = _find(said, attribute.pointer)
        if not is_said and attribute.is_required:
            raise InvalidArgument("content", f"nothing at {attribute.pointer}")
        if is_said and not _is_of(attribute.kind, value):
            raise InvalidArgument("content", f"what is at {attribute.pointer} is of another kind")


def read_content(content: bytes) -> dict[str, Any] | None:
    """The object in the content, or None where there is none, or not just one."""
    try:
        said = json.loads(
            content.decode(), object_pairs_hook=_without_repeats, parse_constant=_refuse
        )
    except (ValueError, RecursionError):
        return None
    return said if isinstance(said, dict) else None


def value_at(said: Mapping[str, Any] | None, attribute: Attribute) -> str | float | bool | None:
    """What the document says there, None where nothing of that kind."""
    is_said, value = _find(said, attribute.pointer) if said is not None else (False, None)
    return value if is_said and _is_of(attribute.kind, value) else None


def _find(said: Any, pointer: str) -> tuple[bool, Any]:
    for part in pointer.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        if isinstance(said, dict) and name in said:
            said = said[name]
        elif isinstance(said, list) and name.isascii() and name.isdigit() and _is_in(name, said):
            said = said[int(name)]
        else:
            return False, None
    return True, said


def _is_in(index: str, items: Sequence[Any]) -> bool:
    # RFC 6901: no zeros in front.
    return (
        len(index) <= len(str(len(items))) and str(int(index)) == index and int(index) < len(items)
    )


def _is_of(kind: int, value: Any) -> bool:
    if kind == Kind.NUMBER:
        return isinstance(value, int | float) and not isinstance(value, bool) and _fits(value)
    if kind == Kind.BOOLEAN:
        return isinstance(value, bool)
    return isinstance(value, str) and (kind != Kind.DATE or _is_date(value))


def _fits(number: int | float) -> bool:
    """Whether a double holds it as it is written (RFC 8259, section 6)."""
    return math.isfinite(number) if isinstance(number, float) else abs(number) <= 2**53


def _is_date(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # Readers differ in which of two equal names they believe.
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a name stands twice")
    return members


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")
