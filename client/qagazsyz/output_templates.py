"""Fill the output template of a public service that is decided by rule.

A template is a JSON object in which a string that is exactly a placeholder is replaced by a value,
and nothing else: no name of a member, no part of a string. What a person or a document says can
thereby never become a name, a number or another member (injection).

Placeholders: "{evidence/0/address/city}" (which evidence, from 0, and a JSON pointer of its
attributes), "{applicant/family_name}", "{applicant/given_name}", "{applicant/patronymic}",
"{request}" (its name) and "{date}" (the day in Asia/Almaty, "2026-11-27").
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import rfc8785

from qagazsyz.json_documents import parse_json

# Signed as a whole in a mandate, which has 64 KiB at most.
TEMPLATE_LIMIT_BYTES = 16_384
# No document is nested deeper.
DEPTH_LIMIT = 16
REQUEST, DATE = "{request}", "{date}"
APPLICANT_NAMES = ("family_name", "given_name", "patronymic")

_EVIDENCE = re.compile(r"\{evidence/(0|[1-9][0-9]?)(/[^{}]+)\}", re.ASCII)

Value = str | int | float | bool


class TemplateError(ValueError):
    """The text is no template, or a placeholder has no value."""


@dataclass(frozen=True, slots=True)
class EvidencePlaceholder:
    """A string that is replaced by an attribute of evidence."""

    text: str
    # Which evidence of the service, from 0.
    index: int
    # The attribute's JSON pointer (RFC 6901).
    pointer: str


@dataclass(frozen=True, slots=True)
class Template:
    """A template whose placeholders are all known ones."""

    members: Mapping[str, Any]

    @classmethod
    def parse(cls, text: str) -> Template:
        """Return the template that the text is. Raises TemplateError."""
        if len(text.encode()) > TEMPLATE_LIMIT_BYTES:
            raise TemplateError(f"longer than {TEMPLATE_LIMIT_BYTES} bytes")
        try:
            members = parse_json(text)
        except ValueError:
            raise TemplateError("not JSON with distinct names") from None
        if not isinstance(members, dict):
            raise TemplateError("not a JSON object")
        for value in _leaves(members):
            if isinstance(value, str) and _is_braced(value) and not is_placeholder(value):
                raise TemplateError(f"{value!a} is no placeholder")
        return cls(members)

    @property
    def evidence(self) -> list[EvidencePlaceholder]:
        """The placeholders of evidence."""
        found = (_EVIDENCE.fullmatch(one) for one in _leaves(self.members) if isinstance(one, str))
        return [
            EvidencePlaceholder(match[0], int(match[1]), match[2])
            for match in found
            if match is not None
        ]

    def fill(self, values: Mapping[str, Value]) -> bytes:
        """Return the output as canonical JSON (RFC 8785), each placeholder replaced by its value.

        values: by the whole placeholder, "{request}". Raises TemplateError for one without a value.
        """
        try:
            return rfc8785.dumps(_replaced(self.members, values))
        except KeyError as error:
            raise TemplateError(f"{error.args[0]!a} has no value") from None
        except ValueError as error:
            raise TemplateError(str(error)) from None


def is_placeholder(text: str) -> bool:
    """Return whether a string of a template is replaced."""
    return (
        text in (REQUEST, DATE)
        or text in map(applicant_placeholder, APPLICANT_NAMES)
        or _EVIDENCE.fullmatch(text) is not None
    )


def applicant_placeholder(name: str) -> str:
    """Return the placeholder of a part of the applicant's name."""
    return f"{{applicant/{name}}}"


def _is_braced(text: str) -> bool:
    return text.startswith("{") and text.endswith("}")


def _leaves(value: Any, depth: int = 0) -> Iterator[Any]:
    """Yield all values that hold no others. Raises TemplateError for a template too deep."""
    if depth > DEPTH_LIMIT:
        raise TemplateError(f"more than {DEPTH_LIMIT} levels")
    if isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _leaves(each, depth + 1)
    else:
        yield value


def _replaced(value: Any, values: Mapping[str, Value]) -> Any:
    if isinstance(value, dict):
        return {name: _replaced(each, values) for name, each in value.items()}
    if isinstance(value, list):
        return [_replaced(each, values) for each in value]
    if isinstance(value, str) and is_placeholder(value):
        return values[value]
    return value
