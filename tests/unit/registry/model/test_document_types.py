"""Document types: what one may hold, and its etag."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from services.registry.model.attributes import Attribute, AttributeKind
from services.registry.model.document_types import (
    DocumentType,
    LegalBasis,
    check_document_type,
    etag_of,
    name_of,
)
from services.runtime.errors import InvalidArgument
from tests.unit.registry.ledger import NOW
from tests.unit.registry.world import FIRST_BANK, LAW, MINISTRY, PURPOSE

TYPE = DocumentType("documentTypes/one", {"en": "One"}, (MINISTRY,), ())


def law(**changes: Any) -> LegalBasis:
    return replace(LegalBasis(FIRST_BANK, PURPOSE, LAW, None), **changes)


@pytest.mark.parametrize("id_", ["", "Diploma", "1st", "a b", "-a", "a-", "x" * 64, "дип"])
def test_a_malformed_id_is_refused(id_: str) -> None:
    with pytest.raises(InvalidArgument, match="document_type_id"):
        name_of(id_)


def test_an_id_is_the_end_of_the_name() -> None:
    assert name_of("address-certificate") == "documentTypes/address-certificate"


@pytest.mark.parametrize(
    ("field", "changes"),
    [
        (r"issuers\[1\]", {"issuers": (MINISTRY, MINISTRY)}),
        ("issuers", {"issuers": tuple(f"subjects/{number}" for number in range(1_001))}),
        (r"legal_bases\[0\].organization", {"legal_bases": (law(organization=""),)}),
        (r"legal_bases\[0\].purpose", {"legal_bases": (law(purpose="Any"),)}),
        (r"legal_bases\[0\].citation", {"legal_bases": (law(citation=" "),)}),
        (r"legal_bases\[0\].citation", {"legal_bases": (law(citation="x" * 501),)}),
        (r"legal_bases\[0\].citation", {"legal_bases": (law(citation="issuer"),)}),
        (r"legal_bases\[0\].citation", {"legal_bases": (law(citation="consents/1"),)}),
        ("display_names", {"display_names": {"kazakh language": "Диплом"}}),
        ("display_names", {"display_names": {"kk": ""}}),
        ("display_names", {"display_names": {"kk": "x" * 201}}),
    ],
)
def test_an_invalid_member_of_a_type_names_its_field(field: str, changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument, match=f"document_type.{field}"):
        check_document_type(replace(TYPE, **changes))


def test_the_etag_is_another_after_any_change() -> None:
    changed = [
        replace(TYPE, display_names={"en": "Two"}),
        replace(TYPE, issuers=()),
        replace(TYPE, legal_bases=(law(),)),
        replace(TYPE, legal_bases=(law(expire_time=NOW),)),
    ]
    assert len({etag_of(each) for each in (TYPE, *changed)}) == 5
    assert etag_of(replace(TYPE, etag="any")) == etag_of(TYPE)


def test_etags_stay_those_of_types_that_are_stored() -> None:
    declared = replace(TYPE, attributes=(Attribute("/a", AttributeKind.TEXT, True, {}),))
    assert etag_of(declared) == "075624238e2f3477b3f3104d8c1b8bc5"
