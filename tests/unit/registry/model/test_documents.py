"""Documents: their states, their readers, and their verification codes."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from qagazsyz.registry.v1 import documents_pb2
from services.registry.model.accesses import Access, AccessEvent
from services.registry.model.documents import (
    Document,
    DocumentState,
    is_issuer,
    is_subject,
    may_download,
    may_read,
    parse_verification_code,
)
from services.runtime.access import Caller
from tests.unit.registry.ledger import NOW
from tests.unit.registry.model.builders import access, document
from tests.unit.registry.world import (
    CITIZEN,
    MINISTRY,
    auditor,
    bank_officer,
    citizen,
    ministry_officer,
    operator,
    other_bank_officer,
    stranger,
)

LATER = NOW + timedelta(days=1)


def test_the_states_are_those_of_the_contract() -> None:
    contract = dict(documents_pb2.DocumentState.items())
    assert contract.pop("DOCUMENT_STATE_UNSPECIFIED") == 0
    assert {f"DOCUMENT_STATE_{state.name}": state.value for state in DocumentState} == contract


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({}, DocumentState.ACTIVE),
        ({"expire_time": LATER}, DocumentState.ACTIVE),
        ({"expire_time": NOW}, DocumentState.EXPIRED),
        ({"expire_time": NOW, "revoke_time": NOW}, DocumentState.REVOKED),
        ({"revoke_time": NOW, "erase_time": NOW}, DocumentState.ERASED),
    ],
)
def test_the_gravest_change_is_the_state(changes: dict[str, Any], state: DocumentState) -> None:
    assert document(**changes).state(NOW) is state


@pytest.mark.parametrize(
    ("caller", "reads", "downloads"),
    [
        (citizen, True, True),
        (ministry_officer, True, True),
        (auditor, True, False),
        (stranger, False, False),
        (operator, False, False),
        (bank_officer, False, False),
        # A person who signed in for an organization acts for it and not for themselves.
        (Caller(CITIZEN, bank_officer.organization, bank_officer.roles), False, False),
        # A role without the organization that issued it.
        (Caller("subjects/x", MINISTRY, frozenset()), False, False),
    ],
)
def test_subjects_the_issuer_and_auditors_read(
    caller: Caller, reads: bool, downloads: bool
) -> None:
    assert may_read(caller, document(), None, NOW) == reads
    assert may_download(caller, document(), None, NOW) == downloads


@pytest.mark.parametrize(
    ("caller", "record", "is_allowed"),
    [
        (bank_officer, access(), True),
        (other_bank_officer, access(), False),
        (stranger, access(), False),
        (bank_officer, access(documents=("documents/other",)), False),
        (bank_officer, access(event=AccessEvent.DOWNLOADED), False),
    ],
)
def test_another_organization_reads_by_the_record_of_its_look_up(
    caller: Caller, record: Access, is_allowed: bool
) -> None:
    assert may_read(caller, document(), record, NOW) == is_allowed
    assert may_download(caller, document(), record, NOW) == is_allowed


def test_a_caller_is_issuer_or_subject_by_role_and_name() -> None:
    made: Document = document()
    assert is_issuer(ministry_officer, made)
    assert not is_issuer(bank_officer, made)
    assert is_subject(citizen, made)
    assert not is_subject(ministry_officer, made)


@pytest.mark.parametrize("text", ["", "0" * 15, "0" * 17, "U" * 16, "0" * 33, "Ä" * 16])
def test_another_text_is_no_verification_code(text: str) -> None:
    assert parse_verification_code(text) is None
