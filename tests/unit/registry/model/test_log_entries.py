"""Entries: their events, and that they name no person; docs/receipts.md lists their members."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import pytest

from qagazsyz.receipts import ENTRY_LIMIT_BYTES, commitment
from services.registry.log.transparency_log import encode_entry
from services.registry.model import log_entries
from services.registry.model.accesses import LOOK_UP_LIMIT, AccessEvent
from services.registry.model.document_types import change_of, type_json
from services.registry.model.identity_events import (
    IdentityEvent,
    IdentityEventBasis,
    IdentityEventKind,
)
from services.registry.model.log_entries import Entry, Opening
from tests.unit.registry.ledger import NOW
from tests.unit.registry.model.builders import (
    access,
    consent,
    document,
    document_type,
    identity_event,
    membership_event,
    request_event,
)
from tests.unit.registry.world import CITIZEN, FIRST_BANK, LAW, MINISTRY, PURPOSE, SPOUSE, TELLER


def all_entries() -> dict[str, Entry]:
    made = [
        log_entries.registered_entry(document()),
        log_entries.revoked_entry("documents/one", "subjects/ministry", NOW),
        log_entries.erased_entry("documents/one", "subjects/ministry", NOW),
        log_entries.consented_entry(consent()),
        log_entries.withdrawn_entry(consent(), NOW, bytes(32), bytes(32)),
        *(log_entries.accessed_entry(access(event=event)) for event in AccessEvent),
        log_entries.type_changed_entry(change_of(document_type(), NOW)),
        *(
            log_entries.identity_entry(identity_event(kind=kind))
            for kind in (
                IdentityEventKind.CERTIFIED,
                IdentityEventKind.CERTIFICATE_REGISTERED,
                IdentityEventKind.CERTIFICATE_REVOKED,
                IdentityEventKind.PHONE_ACTIVATED,
                IdentityEventKind.PHONE_ENDED,
            )
        ),
        log_entries.identity_entry(membership_event()),
        log_entries.identity_entry(membership_event(kind=IdentityEventKind.MEMBERSHIP_REMOVED)),
        log_entries.requested_entry(request_event()),
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
        "type_changed",
        "certified",
        "certificate_registered",
        "certificate_revoked",
        "membership_added",
        "membership_removed",
        "phone_activated",
        "phone_ended",
        "requested",
    }
    for entry in entries.values():
        assert entry["v"] == 2
        assert entry["time"] == "2026-11-23T12:00:00.000000Z"


def test_no_entry_names_a_person_or_a_consent_of_a_look_up() -> None:
    for event, entry in all_entries().items():
        text = json.dumps(entry)
        assert CITIZEN not in text
        assert TELLER not in text
        if event in ("looked_up", "downloaded"):
            assert entry["basis"] == "consent"
            assert "consents/one" not in text
            assert "documents/one" not in text


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
    openings = log_entries.access_openings(access(), ["documents/one"])
    assert {each.field for each in openings} == {
        "officer",
        "subjects[0]",
        "reason",
        "consent",
        "documents[0]",
    }
    open_all(log_entries.accessed_entry(access()), openings)
    given = consent()
    openings = log_entries.grant_openings(given)
    assert [each.field for each in openings] == ["subjects[0]", "purpose_text"]
    open_all(log_entries.consented_entry(given), openings)


@pytest.mark.parametrize("event", [identity_event(), membership_event()])
def test_the_openings_of_identitys_event_open_it(event: IdentityEvent) -> None:
    entry = log_entries.identity_entry(event)
    openings = log_entries.identity_openings(event)
    open_all(entry, openings)
    committed = 2 + len(event.officers) if event.fingerprint else 1 + len(event.officers)
    assert len(openings) == committed


def test_a_changed_request_is_told_by_commitments_alone_and_opened_whole() -> None:
    event = request_event()
    entry = log_entries.requested_entry(event)
    assert entry.keys() == {"v", "event", "time", "request", "public_service", "change"}
    assert not any(
        value in json.dumps(entry) for value in ("serviceRequests", "publicServices", "issued")
    )
    openings = log_entries.requested_openings(event)
    assert [each.value for each in openings] == [
        event.request.encode(),
        event.public_service.encode(),
        event.change,
    ]
    assert len({each.salt for each in openings} - {event.entry_salt}) == len(openings)
    open_all(entry, openings)


def test_a_look_up_for_a_request_commits_to_it() -> None:
    found = access(basis="serviceRequests/one")
    assert "request" in log_entries.accessed_entry(found)
    openings = log_entries.access_openings(found, [])
    assert b"serviceRequests/one" in [each.value for each in openings]
    open_all(log_entries.accessed_entry(found), openings)


def test_a_reader_of_one_document_gets_no_opening_of_another() -> None:
    found = access(documents=("documents/one", "documents/two"))
    openings = log_entries.access_openings(found, ["documents/two"])
    values = [each.value for each in openings if each.field.startswith("documents")]
    assert values == [b"documents/two"]
    open_all(log_entries.accessed_entry(found), openings)


def test_each_commitment_of_an_access_has_a_salt_of_its_own_that_is_not_the_accesss() -> None:
    openings = log_entries.access_openings(
        found := access(documents=tuple(f"documents/{number}" for number in range(20))),
        found.documents,
    )
    assert len({each.salt for each in openings}) == len(openings)
    assert found.entry_salt not in {each.salt for each in openings}


def test_an_entry_of_version_1_stays_what_it_was() -> None:
    read = log_entries.accessed_entry(access(entry_salt=b""))
    assert read["v"] == 1
    assert read["documents"] == ["documents/one"]
    assert not read.keys() & {"reason", "consent"}
    assert {
        each.field
        for each in log_entries.access_openings(access(entry_salt=b""), ["documents/one"])
    } == {"officer", "subjects[0]"}
    given = consent(grant_text_salt=b"")
    assert log_entries.consented_entry(given)["v"] == 1
    assert "purpose_text" not in log_entries.consented_entry(given)
    assert log_entries.registered_entry(document(), version=1)["v"] == 1


def test_the_largest_look_up_fits_into_an_entry() -> None:
    names = tuple(f"documents/{number:036}" for number in range(LOOK_UP_LIMIT))
    longest = access(documents=names, purpose="p" * 64, document_type="documentTypes/" + "t" * 63)
    assert len(encode_entry(log_entries.accessed_entry(longest))) <= ENTRY_LIMIT_BYTES


def test_an_entry_tells_who_may_look_without_consent() -> None:
    kind = document_type()
    entry = log_entries.type_changed_entry(change_of(kind, NOW))
    assert entry["issuers"] == [MINISTRY]
    assert entry["legal_bases"] == [
        {"organization": FIRST_BANK, "purpose": PURPOSE, "citation": LAW}
    ]
    assert entry["type_sha256"] == hashlib.sha256(type_json(kind)).hexdigest()


@pytest.mark.parametrize(
    ("basis", "officers", "told"),
    [
        (IdentityEventBasis.RENEWAL, (), "renewal"),
        (IdentityEventBasis.INIT, (), "init"),
        (IdentityEventBasis.ALONE, ("subjects/registrar",), "registrar"),
        (IdentityEventBasis.ALONE, (CITIZEN,), "holder"),
        (IdentityEventBasis.ALONE, (), "phone"),
        (IdentityEventBasis.APPROVED, ("subjects/one", "subjects/two"), "approved"),
    ],
)
def test_an_entry_tells_how_many_people_a_certificate_took(
    basis: IdentityEventBasis, officers: tuple[str, ...], told: str
) -> None:
    event = identity_event(basis=basis, officers=officers, salts=(bytes(32),) * (2 + len(officers)))
    assert log_entries.identity_entry(event)["by"] == told


def test_an_event_with_a_salt_too_few_is_refused() -> None:
    with pytest.raises(ValueError, match="zip"):
        log_entries.identity_entry(identity_event(salts=(bytes(32),)))


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
    [
        ("", ""),
        ("issuer", "issuer"),
        ("consents/one", "consent"),
        ("serviceRequests/one", "request"),
        ("Law No. 94-V", "law"),
    ],
)
def test_an_entry_tells_the_kind_of_a_basis_alone(basis: str, kind: str) -> None:
    assert log_entries.accessed_entry(access(basis=basis))["basis"] == kind
