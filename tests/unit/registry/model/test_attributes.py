"""Attributes: declared as JSON pointers, checked in contents, and read from them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from qagazsyz.registry.v1 import documents_pb2
from services.registry.model import attributes
from services.registry.model.attributes import (
    Attribute,
    AttributeKind,
    check_attributes,
    check_content,
    parse_content,
    value_at,
)
from services.runtime.errors import InvalidArgument

JSON = "application/json"
CONTENT = {
    "registered": True,
    "since": "2019-05-01",
    "address": {"city": "Алматы", "rooms": 2.5, "lines": ["Абай даңғылы", "10"]},
}


def attribute(
    pointer: str, kind: AttributeKind = AttributeKind.TEXT, *, required: bool = False
) -> Attribute:
    return Attribute(pointer, kind, required, {})


DECLARED = [
    attribute("/registered", AttributeKind.BOOLEAN, required=True),
    attribute("/since", AttributeKind.DATE, required=True),
    attribute("/address/city"),
    attribute("/address/rooms", AttributeKind.NUMBER),
    attribute("/address/lines/0"),
]


def content(**changes: Any) -> bytes:
    return json.dumps({**CONTENT, **changes}, ensure_ascii=False).encode()


def test_the_kinds_are_those_of_the_contract() -> None:
    contract = documents_pb2.AttributeKind.items()
    assert {f"ATTRIBUTE_KIND_{kind.name}": kind.value for kind in AttributeKind} == dict(contract)


def test_a_content_with_the_declared_values_is_accepted() -> None:
    check_content(JSON, content(), DECLARED)
    check_content("application/vnd.address+json; charset=utf-8", content(address={}), DECLARED)


@pytest.mark.parametrize(
    "body",
    [
        b"%PDF",
        b"[]",
        b'{"registered": true, "since": "2019-05-01"',
        content(since="yesterday"),
        content(since="2019-5-1"),
        content(registered="yes"),
        content(address={"rooms": True}),
        content(address={"rooms": "two"}),
        content(address={"rooms": 2**53 + 1}),
        b'{"registered": true}',
        b'{"registered": true, "registered": false, "since": "2019-05-01"}',
        b'{"registered": true, "since": "2019-05-01", "address": {"rooms": NaN}}',
        b'{"registered": true, "since": "2019-05-01", "address": {"rooms": 1e999}}',
        b'{"registered": true, "since": "2019-05-01", "a": ' + b"[" * 5000 + b"]" * 5000 + b"}",
        b'{"registered": true, "since": "2019-05-01", "a": "\xff"}',
        b'{"registered": true, "since": "2019-05-01", "a": "\\ud83d"}',
        b'{"registered": true, "since": "2019-05-01", "a": ["\\uDE00"]}',
        b'{"registered": true, "since": "2019-05-01", "\\ud83d": 1}',
    ],
)
def test_a_content_that_contradicts_its_declaration_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidArgument, match="content"):
        check_content(JSON, body, DECLARED)


def test_a_pair_of_surrogates_is_a_character() -> None:
    text = b'{"registered": true, "since": "2019-05-01", "a": "\\ud83d\\ude00"}'
    check_content(JSON, text, DECLARED)


@pytest.mark.parametrize(
    ("written", "is_taken"),
    [
        ("2", True),
        ("-0.1", True),
        ("1e3", True),
        ("1.50", True),
        ("1.7976931348623157e308", True),
        ("5e-324", True),
        ("9007199254740992", True),
        ("9007199254740993", False),
        ("9007199254740993.0", False),
        ("100000000000000.01", False),
        ("12345678901234567890e0", False),
        ("1e-400", False),
        ("1e400", False),
        ("1e" + "9" * 30, False),
        ("0." + "1" * 40, False),
    ],
)
def test_a_number_is_taken_if_an_answer_can_hold_it_as_it_is_written(
    written: str, is_taken: bool
) -> None:
    text = '{"registered": true, "since": "2019-05-01", "address": {"rooms": ' + written + "}}"
    members = parse_content(text.encode())
    rooms = next(each for each in DECLARED if each.pointer == "/address/rooms")
    if is_taken:
        check_content(JSON, text.encode(), DECLARED)
        assert value_at(members, rooms) == float(written)
    else:
        with pytest.raises(InvalidArgument, match="content"):
            check_content(JSON, text.encode(), DECLARED)
        assert value_at(members, rooms) is None


@pytest.mark.parametrize("media_type", ["text/plain", "application/jsonp", "text/json"])
def test_a_structured_content_is_json(media_type: str) -> None:
    with pytest.raises(InvalidArgument, match="media_type"):
        check_content(media_type, content(), DECLARED)


def test_a_structured_content_is_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attributes, "CONTENT_LIMIT_BYTES", 20)
    with pytest.raises(InvalidArgument, match="content"):
        check_content(JSON, content(), DECLARED)


@pytest.mark.parametrize(
    ("field", "declared"),
    [
        (r"a\[0\].pointer", [attribute("since")]),
        (r"a\[0\].pointer", [attribute("")]),
        (r"a\[0\].pointer", [attribute("/a~2")]),
        (r"a\[0\].pointer", [attribute("/" + "a" * 200)]),
        (r"a\[1\].pointer", [attribute("/a"), attribute("/a", AttributeKind.DATE)]),
        (r"a\[0\].kind", [attribute("/a", AttributeKind.UNSPECIFIED)]),
        ("a", [attribute(f"/{number}") for number in range(101)]),
    ],
)
def test_a_malformed_attribute_names_its_field(field: str, declared: list[Attribute]) -> None:
    with pytest.raises(InvalidArgument, match=field):
        check_attributes(declared, "a")


@pytest.mark.parametrize(
    ("pointer", "value"),
    [
        ("/a~1b", "slash"),
        ("/m~0n", "tilde"),
        ("/", "empty"),
        ("/list/1", "second"),
        ("/list/01", None),
        ("/list/-", None),
        ("/list/2", None),
        ("/list/" + "9" * 5000, None),
        ("/list/¹", None),
        ("/a~1b/c", None),
    ],
)
def test_pointers_are_read_as_rfc_6901_says(pointer: str, value: str | None) -> None:
    said = {"a/b": "slash", "m~n": "tilde", "": "empty", "list": ["first", "second"]}
    assert attributes.value_at(said, attribute(pointer)) == value
