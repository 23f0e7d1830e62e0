"""Check the output template of a service that is decided by rule against its output type.

What a template is, and how it is filled, stands in the client (qagazsyz.output_templates), because
the registry fills it too and believes nobody.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from qagazsyz.json_documents import is_full_date, resolve_pointer
from qagazsyz.output_templates import DATE, Template, TemplateError
from services.runtime.errors import InvalidArgument

FIELD = "public_service.output_template"


class AttributeKind(IntEnum):
    """The kind of an attribute's value; numbered as the registry's."""

    UNSPECIFIED = 0
    TEXT = 1
    NUMBER = 2
    BOOLEAN = 3
    DATE = 4


@dataclass(frozen=True, slots=True)
class OutputAttribute:
    """An attribute that a document type declares."""

    pointer: str
    kind: AttributeKind
    is_required: bool


# A date is a text too, where a type declares no more than that.
_TAKES = {
    AttributeKind.UNSPECIFIED: frozenset(AttributeKind),
    AttributeKind.TEXT: frozenset({AttributeKind.TEXT, AttributeKind.DATE}),
    AttributeKind.NUMBER: frozenset({AttributeKind.NUMBER}),
    AttributeKind.BOOLEAN: frozenset({AttributeKind.BOOLEAN}),
    AttributeKind.DATE: frozenset({AttributeKind.DATE}),
}


def parse_template(text: str) -> Template:
    """Return the template that the text is. Raises InvalidArgument."""
    try:
        return Template.parse(text)
    except TemplateError as error:
        raise InvalidArgument(FIELD, str(error)) from None


def check_gives(
    template: Template,
    output: Mapping[str, OutputAttribute],
    evidence: Mapping[tuple[int, str], AttributeKind],
) -> None:
    """Check that the template gives what the output type asks for: each required attribute, and
    every value of its declared kind. Raises InvalidArgument.

    output: the type's attributes by pointer; evidence: the kinds of what the template names.
    """
    placeholders = {each.text: evidence[each.index, each.pointer] for each in template.evidence}
    for attribute in output.values():
        exists, value = resolve_pointer(template.members, attribute.pointer)
        if not exists:
            if attribute.is_required:
                raise InvalidArgument(FIELD, f"no value at {attribute.pointer}")
            continue
        if _kind_of(value, placeholders) not in _TAKES[attribute.kind]:
            raise InvalidArgument(
                FIELD, f"the value at {attribute.pointer} is not of the declared kind"
            )


def _kind_of(value: Any, placeholders: Mapping[str, AttributeKind]) -> AttributeKind:
    """Return the kind of a value once it is replaced, UNSPECIFIED for a list or an object."""
    if isinstance(value, bool):
        return AttributeKind.BOOLEAN
    if isinstance(value, int | float):
        return AttributeKind.NUMBER
    if not isinstance(value, str):
        return AttributeKind.UNSPECIFIED
    if value in placeholders:
        return placeholders[value]
    return AttributeKind.DATE if value == DATE or is_full_date(value) else AttributeKind.TEXT
