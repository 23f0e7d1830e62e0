"""Entries: their events, and that they name no person; docs/receipts.md lists their members."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from qagazsyz.receipts import commitment
from services.registry.model import log_entries
from services.registry.model.accesses import AccessEvent
from services.registry.model.log_entries import Entry, Opening
from tests.unit.registry.ledger import NOW
from tests.unit.registry.model.builders import access, consent, document
from tests.unit.registry.world import CITIZEN, SPOUSE, TELLER


def all_entries() -> dict[str, Entry]:
    made = [
        log_entries.registered_entry(document()),
        log_entries.revoked_entry("documents/one", "subjects/ministry", NOW),
        log_entries.erased_entry("documents/one", "subjects/ministry", NOW),
        log_entries.consented_entry(consent()),
        log_entries.withdrawn_entry(consent(), NOW, bytes(32)),
        *(log_entries.accessed_entry(access(event=event)) for event in AccessEvent),
    ]
    return {entry["event"]: entry for entry in made}


def test_each_event_has_its_name_its_version_and_its_time() -> None:
    entries = all_entries()
    assert set(entries) == {
        "registered",
        "revoked",
        "erased",
        "consented",
        "withdrawn",
        "looked_up",
        "refused",
        "downloaded",
    }
    for entry in entries.values():
        assert entry["v"] == 1
        assert entry["time"] == "2026-11-23T12:00:00.000000Z"


def test_no_entry_names_a_person_or_a_consent_of_a_look_up() -> None:
    for event, entry in all_entries().items():
        text = json.dumps(entry)
        assert CITIZEN not in text
        assert TELLER not in text
        if event in ("looked_up", "downloaded"):
            assert entry["basis"] == "consent"
            assert "consents/one" not in text


def open_all(entry: Entry, openings: list[Opening]) -> None:
    """Fails the test unless each opening opens the commitment of its field."""
    for each in openings:
        field, _, index = each.field.partition("[")
        committed = entry[field][int(index.rstrip("]"))] if index else entry[field]
        assert committed == commitment(each.salt, each.value)


def test_the_openings_of_an_entry_open_it() -> None:
    shared = document(subjects=(CITIZEN, SPOUSE), subject_salts=(bytes(32), bytes([1]) * 32))
    openings = log_entries.document_openings(shared)
    assert [each.field for each in openings] == ["content_sha256", "subjects[0]", "subjects[1]"]
    open_all(log_entries.registered_entry(shared), openings)
    open_all(log_entries.accessed_entry(access()), log_entries.access_openings(access()))
    given = consent()
    openings = log_entries.consent_openings(given.subject, given.grant_salt)
    open_all(log_entries.consented_entry(given), openings)


def test_an_erased_document_has_no_openings_and_fewer_members() -> None:
    erased = replace(
        document(erase_time=NOW), subject_salts=(), content_salt=b"", content_sha256=b""
    )
    assert log_entries.document_openings(erased) == []
    left = log_entries.registered_entry(erased, erased=True)
    whole = log_entries.registered_entry(document())
    assert left.keys() < whole.keys()
    assert all(whole[name] == left[name] for name in left)


def test_a_document_that_lost_a_salt_has_no_entry() -> None:
    with pytest.raises(ValueError, match="zip"):
        log_entries.registered_entry(document(subject_salts=()))


@pytest.mark.parametrize(
    ("basis", "kind"),
    [("", ""), ("issuer", "issuer"), ("consents/one", "consent"), ("Law No. 94-V", "law")],
)
def test_an_entry_tells_the_kind_of_a_basis_alone(basis: str, kind: str) -> None:
    assert log_entries.accessed_entry(access(basis=basis))["basis"] == kind
