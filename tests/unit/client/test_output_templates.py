"""Output templates: what is replaced, and that nothing else can be."""

from __future__ import annotations

import json

import pytest

from qagazsyz.output_templates import EvidencePlaceholder, Template, TemplateError

TEMPLATE = """{"city": "{evidence/0/address/city}", "of": ["{applicant/family_name}", 2.5, true],
 "request": "{request}", "day": "{date}", "text": "not {request}", "{date}": 1}"""
VALUES = {
    "{evidence/0/address/city}": "Almaty",
    "{applicant/family_name}": 'Serik", "admin": "yes',
    "{request}": "serviceRequests/one",
    "{date}": "2026-11-27",
}


def test_whole_strings_are_replaced_and_nothing_else() -> None:
    filled = Template.parse(TEMPLATE).fill(VALUES)
    assert json.loads(filled) == {
        "city": "Almaty",
        "of": ['Serik", "admin": "yes', 2.5, True],
        "request": "serviceRequests/one",
        "day": "2026-11-27",
        "text": "not {request}",
        "{date}": 1,
    }
    # Canonical: equal values make equal bytes.
    assert filled.startswith(b'{"city":"Almaty","day":')


def test_a_value_that_looks_like_a_placeholder_stays_what_it_is() -> None:
    filled = Template.parse('{"a":"{request}"}').fill({"{request}": "{date}", "{date}": "today"})
    assert json.loads(filled) == {"a": "{date}"}


def test_evidence_is_named_by_its_place_and_pointer() -> None:
    assert Template.parse(TEMPLATE).evidence == [
        EvidencePlaceholder("{evidence/0/address/city}", 0, "/address/city")
    ]


def test_a_placeholder_without_a_value_is_refused() -> None:
    with pytest.raises(TemplateError, match="request"):
        Template.parse('{"a":"{request}"}').fill({})


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "{",
        '{"a":1,"a":2}',
        '{"a":NaN}',
        '{"a":"{evidence/00/x}"}',
        '{"a":"{evidence/0}"}',
        '{"a":"{applicant/iin}"}',
        '{"a":"{else}"}',
        '{"a":' * 20 + "1" + "}" * 20,
        '{"a":"' + "x" * 20_000 + '"}',
    ],
)
def test_what_is_no_template_is_refused(text: str) -> None:
    with pytest.raises(TemplateError):
        Template.parse(text)
