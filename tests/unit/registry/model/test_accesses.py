"""Accesses: the basis of a look-up, what its record allows, and who sees what of it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from qagazsyz.registry.v1 import consents_pb2
from services.registry.model.accesses import ACCESS_LIFETIME, AccessEvent, basis_of
from services.registry.model.consents import Consent
from services.registry.model.document_types import DocumentType, LegalBasis
from tests.unit.registry.ledger import NOW
from tests.unit.registry.model.builders import access, consent, look_up
from tests.unit.registry.world import (
    ADDRESS,
    CITIZEN,
    FIRST_BANK,
    LAW,
    MARRIAGE,
    PURPOSE,
    SECOND_BANK,
    SPOUSE,
)

ALLOWED = DocumentType(ADDRESS, {}, (), (LegalBasis(FIRST_BANK, PURPOSE, LAW, None),))


def basis(consents: list[Consent], document_type: DocumentType | None = None) -> str:
    return basis_of(look_up(), consents=consents, document_type=document_type, now=NOW)


def test_the_events_are_those_of_the_contract() -> None:
    contract = dict(consents_pb2.AccessEvent.items())
    assert contract.pop("ACCESS_EVENT_UNSPECIFIED") == 0
    assert {f"ACCESS_EVENT_{event.name}": event.value for event in AccessEvent} == contract


def test_a_consent_is_the_basis_before_a_law() -> None:
    assert basis([consent()], ALLOWED) == "consents/one"
    assert basis([], ALLOWED) == LAW
    assert basis([], None) == ""


@pytest.mark.parametrize(
    "changes",
    [
        {"subject": SPOUSE},
        {"organization": SECOND_BANK},
        {"document_type": MARRIAGE},
        {"purpose": "marketing"},
        {"expire_time": NOW},
        {"withdraw_time": NOW},
    ],
)
def test_a_consent_to_something_else_is_no_basis(changes: dict[str, Any]) -> None:
    assert basis([consent(**changes)]) == ""
    assert basis([consent(**changes), consent(name="consents/two")]) == "consents/two"


@pytest.mark.parametrize(
    "law",
    [
        LegalBasis(SECOND_BANK, PURPOSE, LAW, None),
        LegalBasis(FIRST_BANK, "marketing", LAW, None),
        LegalBasis(FIRST_BANK, PURPOSE, LAW, NOW),
    ],
)
def test_a_law_for_something_else_is_no_basis(law: LegalBasis) -> None:
    assert basis([], DocumentType(ADDRESS, {}, (), (law,))) == ""


@pytest.mark.parametrize(
    ("changes", "opens"),
    [
        ({}, True),
        ({"event": AccessEvent.REFUSED}, False),
        ({"event": AccessEvent.DOWNLOADED}, False),
        ({"attributes": ("/since",)}, False),
        ({"organization": SECOND_BANK}, False),
        ({"documents": ("documents/other",)}, False),
        ({"create_time": NOW - ACCESS_LIFETIME}, False),
        ({"create_time": NOW - ACCESS_LIFETIME + timedelta(seconds=1)}, True),
    ],
)
def test_a_fresh_look_up_of_whole_documents_opens_what_it_found(
    changes: dict[str, Any], opens: bool
) -> None:
    assert access(**changes).opens("documents/one", FIRST_BANK, NOW) == opens


def test_other_subjects_see_only_their_own_documents_in_a_record() -> None:
    record = access(documents=("documents/one", "documents/two"), sharers=(SPOUSE,))
    own = frozenset({"documents/two"})
    assert record.seen_by(CITIZEN, own) == record
    assert record.seen_by(SPOUSE, own).documents == ("documents/two",)
