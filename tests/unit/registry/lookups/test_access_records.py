"""Access records: of look-ups, refusals and downloads, from what was asked and found."""

from __future__ import annotations

from services.registry.lookups.access_records import download_record, look_up_record
from services.registry.model.accesses import BASIS_ISSUER, AccessEvent
from services.registry.model.resource_names import is_name
from services.runtime.clock import system_randomness
from tests.unit.registry.ledger import NOW
from tests.unit.registry.model.builders import access, document, look_up
from tests.unit.registry.world import (
    CITIZEN,
    FIRST_BANK,
    LAW,
    MINISTRY,
    PURPOSE,
    SPOUSE,
    STRANGER,
    TELLER,
    bank_officer,
    ministry_officer,
)


def test_a_granted_look_up_names_its_documents_and_their_other_subjects() -> None:
    found = [
        document(name="documents/two", subjects=(CITIZEN, STRANGER)),
        document(name="documents/one", subjects=(SPOUSE, CITIZEN)),
    ]
    record = look_up_record(
        look_up(attributes=("/since",)),
        basis=LAW,
        documents=found,
        now=NOW,
        randomness=system_randomness,
    )
    assert is_name(record.name, "accesses")
    assert record.event is AccessEvent.LOOKED_UP
    assert record.subjects == (CITIZEN,)
    assert record.documents == ("documents/two", "documents/one")
    assert record.sharers == (SPOUSE, STRANGER)
    assert (record.organization, record.officer) == (FIRST_BANK, TELLER)
    assert (record.basis, record.attributes) == (LAW, ("/since",))
    assert len({record.officer_salt, *record.subject_salts}) == 2


def test_a_look_up_without_a_basis_is_a_refusal() -> None:
    record = look_up_record(
        look_up(), basis="", documents=(), now=NOW, randomness=system_randomness
    )
    assert record.event is AccessEvent.REFUSED
    assert (record.basis, record.documents, record.sharers) == ("", (), ())


def test_a_download_has_the_basis_of_the_look_up_that_allows_it() -> None:
    shared = document(subjects=(CITIZEN, SPOUSE), subject_salts=(bytes(32), bytes(32)))
    record = download_record(shared, bank_officer, access(), now=NOW, randomness=system_randomness)
    assert record.event is AccessEvent.DOWNLOADED
    assert record.subjects == (CITIZEN, SPOUSE)
    assert (record.basis, record.purpose) == ("consents/one", PURPOSE)
    assert (record.organization, record.officer) == (FIRST_BANK, TELLER)
    assert record.documents == ("documents/one",)
    assert len({record.officer_salt, *record.subject_salts}) == 3


def test_a_download_by_the_issuer_needs_no_other_basis() -> None:
    for look_up_named in (None, access(organization=MINISTRY)):
        record = download_record(
            document(), ministry_officer, look_up_named, now=NOW, randomness=system_randomness
        )
        assert (record.basis, record.purpose, record.reason) == (BASIS_ISSUER, "", "")
