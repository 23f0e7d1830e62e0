"""Attributes: single values of structured documents.

A type that declares attributes has JSON contents. Each attribute is a JSON pointer (RFC 6901) into
the content, and the kind of the value there. Contents that contradict the declaration are refused
at registration, so that a look-up of an attribute can return the document's value as it is.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import IntEnum
from typing import Any

from qagazsyz.json_documents import is_full_date, parse_json, resolve_pointer
from services.runtime.errors import InvalidArgument

# documents.proto, DocumentType.attributes and LookUpAttributeRequest.attributes.
ATTRIBUTES_LIMIT = 100
LOOKED_UP_LIMIT = 16
# Parsed on the event loop: a few milliseconds at most.
CONTENT_LIMIT_BYTES = 256 * 1024
POINTER_LENGTH = 200

# RFC 6901, section 3, but for the empty pointer, which names the whole document.
_POINTER = re.compile(r"(?:/(?:[^~/]|~[01])*)+")
# RFC 8259's media type, and those with the suffix +json (RFC 6839).
_JSON = re.compile(r"application/(?:[A-Za-z0-9.+-]+\+)?json(?:;.*)?")
# Half of a character outside the basic plane, or of none.
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


class AttributeKind(IntEnum):
    """The kind of an attribute's value; numbered as qagazsyz.registry.v1.AttributeKind."""

    UNSPECIFIED = 0
    TEXT = 1
    NUMBER = 2
    BOOLEAN = 3
    DATE = 4


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute that a type declares."""

    pointer: str
    kind: AttributeKind
    is_required: bool
    display_names: Mapping[str, str]


def check_attributes(attributes: Sequence[Attribute], field: str) -> None:
    """Check the attributes that a type declares. Raises InvalidArgument naming the field."""
    if len(attributes) > ATTRIBUTES_LIMIT:
        raise InvalidArgument(field, f"more than {ATTRIBUTES_LIMIT}")
    seen: set[str] = set()
    for index, attribute in enumerate(attributes):
        where = f"{field}[{index}]"
        if len(attribute.pointer) > POINTER_LENGTH or not _POINTER.fullmatch(attribute.pointer):
            raise InvalidArgument(f"{where}.pointer", "not a JSON pointer (RFC 6901)")
        if attribute.pointer in seen:
            raise InvalidArgument(f"{where}.pointer", "declared twice")
        if attribute.kind is AttributeKind.UNSPECIFIED:
            raise InvalidArgument(f"{where}.kind", "is required")
        seen.add(attribute.pointer)


def check_content(media_type: str, content: bytes, attributes: Sequence[Attribute]) -> None:
    """Check a content against the attributes that its type declares. Raises InvalidArgument."""
    if not _JSON.fullmatch(media_type):
        raise InvalidArgument("document.media_type", "documents of this type must be JSON")
    if len(content) > CONTENT_LIMIT_BYTES:
        raise InvalidArgument("content", f"more than {CONTENT_LIMIT_BYTES} bytes of JSON")
    members = parse_content(content)
    if members is None:
        raise InvalidArgument("content", "not a JSON object with distinct names")
    for attribute in attributes:
        exists, value = resolve_pointer(members, attribute.pointer)
        if not exists and attribute.is_required:
            raise InvalidArgument("content", f"no value at {attribute.pointer}")
        if exists and not _is_of(attribute.kind, value):
            raise InvalidArgument(
                "content",
                f"the value at {attribute.pointer} is not of the declared kind, or a number that "
                "no double holds",
            )


def parse_content(content: bytes) -> dict[str, Any] | None:
    """Parse a content that is one JSON object (I-JSON, RFC 7493); return None for any other.

    Numbers with a fraction or an exponent are Decimals: as they are written.
    """
    try:
        parsed = parse_json(content.decode(), Decimal)
        if _SURROGATE.search(content):
            # An unpaired one is no character, and no answer can hold it (RFC 7493, section 2.1).
            json.dumps(parsed, ensure_ascii=False, default=str).encode()
    except (ValueError, ArithmeticError, RecursionError):
        return None
    return parsed if isinstance(parsed, dict) else None


def value_at(members: Mapping[str, Any] | None, attribute: Attribute) -> str | float | bool | None:
    """Return the attribute's value; None if it is missing or of another kind.

    members: the parsed content, None for a content that is not JSON.
    """
    exists, value = resolve_pointer(members, attribute.pointer)
    if not exists or not _is_of(attribute.kind, value):
        return None
    found: str | float | bool = float(value) if isinstance(value, Decimal) else value
    return found


def _is_of(kind: AttributeKind, value: Any) -> bool:
    if kind is AttributeKind.NUMBER:
        return isinstance(value, int | Decimal) and not isinstance(value, bool) and _fits(value)
    if kind is AttributeKind.BOOLEAN:
        return isinstance(value, bool)
    return isinstance(value, str) and (kind is not AttributeKind.DATE or is_full_date(value))


def _fits(number: int | Decimal) -> bool:
    """Return whether a double, which answers hold, is written as the number is (RFC 7493, 2.2)."""
    if isinstance(number, int):
        return abs(number) <= 2**53
    double = float(number)
    return math.isfinite(double) and Decimal(repr(double)) == number
