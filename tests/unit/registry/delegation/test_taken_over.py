"""A taken-over service `requests`: it holds what people once signed, and wants what nobody signed.

It looks up nothing, seals nothing and logs nothing that rests on a signature which was not given.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import fields, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from qagazsyz.common.v1 import signatures_pb2
from qagazsyz.request_texts import Evidence, Mandate, RequestStatement
from services.registry.documents.interface import Officer
from services.registry.model.accesses import ACCESS_LIFETIME
from services.registry.tables import accesses, documents, log_entries
from services.runtime.errors import (
    DomainError,
    FailedPrecondition,
    InvalidArgument,
    PermissionDenied,
    Unavailable,
)
from services.runtime.storage.database import sqlite_url
from tests.unit.registry.delegation.builders import (
    MANDATE,
    OUTPUT,
    RESIDENCE,
    STATEMENT,
    append,
    delegation,
    end_mandates,
    issue,
    look_up,
    mandate,
    prepare,
    register_residence,
    signed,
    statement,
)
from tests.unit.registry.ledger import NOW
from tests.unit.registry.world import (
    ADDRESS,
    CITIZEN,
    CLERK,
    FIRST_BANK,
    MINISTRY,
    SPOUSE,
    STRANGER,
    TELLER,
    World,
    bank_officer,
    ministry_officer,
    operator,
)

OTHER_EVIDENCE = Evidence(document_type=ADDRESS, purpose="address-certificate")


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    """SQLite: what is refused is decided by rules; test_delegation.py runs the SQL on each kind."""
    return sqlite_url(tmp_path / "registry.db")


@pytest.fixture
async def prepared(world: World) -> AsyncIterator[World]:
    await prepare(world)
    yield world


async def counts(world: World) -> list[int]:
    """How many records, documents and entries there are."""
    async with world.database.reading() as connection:
        return [
            (await connection.execute(select(func.count()).select_from(table))).scalar_one()
            for table in (accesses, documents, log_entries)
        ]


async def gets_nothing(world: World, signed_texts: signatures_pb2.Delegation) -> None:
    """Fails the test if anything can be done with this, or leaves a trace."""
    before = await counts(world)
    with pytest.raises((PermissionDenied, InvalidArgument)):
        await look_up(world, signed_texts)
    with pytest.raises((PermissionDenied, InvalidArgument)):
        await issue(world, signed_texts)
    with pytest.raises((PermissionDenied, InvalidArgument)):
        await append(world, "submitted", 1, signed_texts)
    assert await counts(world) == before


def altered(text: Mandate | RequestStatement) -> dict[str, Any]:
    """The text with one member altered each, by the member."""
    values: dict[str, Any] = {
        "platform": "other.example",
        "request": "serviceRequests/two",
        "public_service": "publicServices/other",
        "service_version": 4,
        "provider": FIRST_BANK,
        "applicant": SPOUSE,
        "at_office": True,
        "form_sha256": bytes([1]) * 32,
        "evidence": (OTHER_EVIDENCE,),
        "required": (False,),
        "expire_time": NOW + timedelta(days=8),
        "nonce": bytes([1]) * 16,
        "time": NOW - timedelta(days=2),
        "output": ADDRESS,
        "time_limit_days": 1,
        "key": "keys/other",
        "output_template": '{"city":"Astana"}',
        "appeal_body": FIRST_BANK,
    }
    return {each.name: replace(text, **{each.name: values[each.name]}) for each in fields(text)}


async def test_no_member_of_a_signed_statement_can_be_altered(prepared: World) -> None:
    for member, text in altered(STATEMENT).items():
        tampered = delegation()
        tampered.statement.text = text.encode()
        assert tampered.statement.text != STATEMENT.encode(), member
        await gets_nothing(prepared, tampered)


async def test_no_member_of_a_signed_mandate_can_be_altered(prepared: World) -> None:
    for member, text in altered(MANDATE).items():
        tampered = delegation()
        tampered.mandate.text = text.encode()
        assert tampered.mandate.text != MANDATE.encode(), member
        await gets_nothing(prepared, tampered)


async def test_what_the_applicant_signed_is_not_used_under_another_mandate(
    prepared: World,
) -> None:
    # The same clerk gives mandates for the bank too.
    prepared.directory.officers.add(Officer(FIRST_BANK, CLERK))
    for member in ("platform", "public_service", "service_version", "provider", "evidence"):
        await gets_nothing(prepared, delegation(mandate=altered(MANDATE)[member]))
        await gets_nothing(prepared, delegation(statement=altered(STATEMENT)[member]))


async def test_both_texts_of_another_platform_are_refused(prepared: World) -> None:
    there = "test.example"
    await gets_nothing(prepared, delegation(mandate(platform=there), statement(platform=there)))


async def test_nobody_else_signs_for_the_applicant(prepared: World) -> None:
    for applicant in (SPOUSE, STRANGER, CLERK, MINISTRY):
        await gets_nothing(prepared, delegation(applicant=applicant))


async def test_only_an_officer_of_the_provider_gives_its_mandate(prepared: World) -> None:
    for approver in (CITIZEN, TELLER, STRANGER, MINISTRY):
        await gets_nothing(prepared, delegation(approver=approver))


async def test_a_mandate_ends_with_its_signers_membership(prepared: World) -> None:
    prepared.directory.officers = {
        each for each in prepared.directory.officers if each.person != CLERK
    }
    await gets_nothing(prepared, delegation())


async def test_a_revoked_certificate_signs_nothing(prepared: World) -> None:
    for signer in (CLERK, CITIZEN):
        prepared.verifier.untrusted = {signer}
        await gets_nothing(prepared, delegation())


async def test_a_certificate_that_cannot_be_judged_now_signs_nothing_now(
    prepared: World,
) -> None:
    before = await counts(prepared)
    for signer in (CLERK, CITIZEN):
        prepared.verifier.doubts = {signer}
        for act in (look_up, issue):
            with pytest.raises(Unavailable):
                await act(prepared)
    assert await counts(prepared) == before


async def test_texts_of_another_kind_are_refused(prepared: World) -> None:
    swapped = signatures_pb2.Delegation(
        mandate=signed(STATEMENT.encode(), CLERK), statement=signed(MANDATE.encode(), CITIZEN)
    )
    await gets_nothing(prepared, swapped)


async def test_an_expired_statement_is_refused(prepared: World) -> None:
    prepared.clock.now = STATEMENT.expire_time
    await gets_nothing(prepared, delegation())


async def test_a_statement_that_lasts_for_ever_is_refused(prepared: World) -> None:
    lasting = statement(expire_time=NOW + timedelta(days=32))
    await gets_nothing(prepared, delegation(statement=lasting))


async def test_a_mandate_of_the_future_is_refused(prepared: World) -> None:
    await gets_nothing(prepared, delegation(mandate=mandate(time=NOW + timedelta(seconds=1))))


# --- At the office -----------------------------------------------------------


async def test_an_officer_signs_for_who_came_to_the_office_and_is_named(prepared: World) -> None:
    await look_up(prepared, delegation(statement=statement(at_office=True), applicant=CLERK))
    (access,) = await prepared.accesses()
    assert (access.organization, access.officer) == (MINISTRY, CLERK)


async def test_nobody_but_an_officer_of_the_provider_signs_at_the_office(prepared: World) -> None:
    for signer in (CITIZEN, TELLER, STRANGER):
        signed_texts = delegation(statement=statement(at_office=True), applicant=signer)
        await gets_nothing(prepared, signed_texts)


async def test_an_officer_does_not_sign_at_the_office_for_themselves(prepared: World) -> None:
    own = statement(at_office=True, applicant=CLERK)
    await gets_nothing(prepared, delegation(statement=own, applicant=CLERK))


# --- Suspension --------------------------------------------------------------


async def test_an_officer_ends_the_mandates_at_the_registry_itself(prepared: World) -> None:
    await look_up(prepared)
    await end_mandates(prepared, ministry_officer)
    await gets_nothing(prepared, delegation())
    # Also for what was looked up before, and for a mandate of an earlier time.
    await gets_nothing(prepared, delegation(mandate=mandate(time=NOW)))
    prepared.clock.now = NOW + timedelta(microseconds=1)
    anew = mandate(time=prepared.clock.now)
    assert (await look_up(prepared, delegation(mandate=anew))).document


async def test_an_operator_ends_them_and_no_other_office_does(prepared: World) -> None:
    with pytest.raises(PermissionDenied):
        await end_mandates(prepared, bank_officer, provider=MINISTRY)
    # Their own organization has no such service, which ends nothing of the ministry's.
    await end_mandates(prepared, bank_officer)
    assert (await look_up(prepared)).document
    with pytest.raises(InvalidArgument):
        await end_mandates(prepared, operator)
    await end_mandates(prepared, operator, provider=MINISTRY)
    await gets_nothing(prepared, delegation())


async def test_the_end_of_one_services_mandates_leaves_another_service_alone(
    prepared: World,
) -> None:
    await end_mandates(prepared, ministry_officer, public_service="publicServices/other")
    assert (await look_up(prepared)).document


async def test_a_clock_that_is_behind_takes_no_end_back(prepared: World) -> None:
    await end_mandates(prepared, ministry_officer)
    prepared.clock.now = NOW - timedelta(hours=12)
    await end_mandates(prepared, ministry_officer)
    prepared.clock.now = NOW
    await gets_nothing(prepared, delegation(mandate=mandate(time=NOW)))


# --- Used once ---------------------------------------------------------------


async def test_evidence_is_looked_up_once(prepared: World) -> None:
    first = await look_up(prepared)
    assert await look_up(prepared) == first
    before = await counts(prepared)
    prepared.clock.now = NOW + ACCESS_LIFETIME
    await register_residence(prepared, "Astana")
    with pytest.raises(FailedPrecondition) as refusal:
        await look_up(prepared)
    assert refusal.value.reason == "STATEMENT_USED"
    assert (await counts(prepared))[0] == before[0]


async def test_a_request_rests_on_one_statement(prepared: World) -> None:
    await look_up(prepared)
    await issue(prepared)
    again = delegation(statement=statement(nonce=bytes([9]) * 16))
    before = await counts(prepared)
    for act in (look_up, issue):
        with pytest.raises(FailedPrecondition):
            await act(prepared, again)
    with pytest.raises(FailedPrecondition):
        await append(prepared, "issued", 1, again)
    assert await counts(prepared) == before


async def test_a_request_has_one_output(prepared: World) -> None:
    await look_up(prepared)
    first = await issue(prepared)
    prepared.clock.now = NOW + timedelta(days=1)
    # Neither another day nor another mandate of the service makes a second one.
    later = mandate(time=NOW, output_template='{"city":"{evidence/0/city}","more":"{date}"}')
    assert (await issue(prepared, delegation(mandate=later))).name == first.name
    assert (await issue(prepared)).name == first.name
    assert len(await prepared.list_documents(ministry_officer, document_type=OUTPUT)) == 1


async def test_evidence_that_the_statement_does_not_name_is_not_looked_up(
    prepared: World,
) -> None:
    for index in (1, -1, 2**31 - 1):
        with pytest.raises(InvalidArgument):
            await look_up(prepared, evidence=index)


async def test_an_attribute_that_the_type_does_not_declare_is_not_looked_up(
    prepared: World,
) -> None:
    hidden = Evidence(document_type=RESIDENCE, purpose="address-certificate", attributes=("/x",))
    both = delegation(mandate(evidence=(hidden,)), statement(evidence=(hidden,)))
    before = await counts(prepared)
    with pytest.raises(InvalidArgument):
        await look_up(prepared, both)
    assert await counts(prepared) == before


# --- Outputs -----------------------------------------------------------------


async def test_nothing_is_sealed_before_the_evidence_was_looked_up(prepared: World) -> None:
    with pytest.raises(FailedPrecondition) as refusal:
        await issue(prepared)
    assert refusal.value.reason == "MISSING_EVIDENCE"


async def test_nothing_is_sealed_on_evidence_that_is_old_or_no_longer_in_force(
    prepared: World,
) -> None:
    found = await look_up(prepared)
    prepared.clock.now = NOW + ACCESS_LIFETIME
    with pytest.raises(FailedPrecondition):
        await issue(prepared)
    prepared.clock.now = NOW
    await prepared.revoke(found.document)
    with pytest.raises(FailedPrecondition) as refusal:
        await issue(prepared)
    assert refusal.value.reason == "MISSING_EVIDENCE"


async def test_evidence_of_one_request_serves_no_other(prepared: World) -> None:
    await look_up(prepared)
    other = statement(request="serviceRequests/two")
    with pytest.raises(FailedPrecondition) as refusal:
        await issue(prepared, delegation(statement=other))
    assert refusal.value.reason == "MISSING_EVIDENCE"


async def test_nothing_is_sealed_that_the_mandate_does_not_tell_how_to_fill(
    prepared: World,
) -> None:
    await look_up(prepared)
    before = await counts(prepared)
    for changes in (
        {"output_template": ""},
        {"key": ""},
        {"time_limit_days": 5},
        {"output_template": '{"city":"{evidence/0/street}"}'},
        {"output_template": '{"city":"{evidence/1/city}"}'},
        {"output_template": '{"city":"{evidence/0/city}"'},
    ):
        with pytest.raises(FailedPrecondition) as refusal:
            await issue(prepared, delegation(mandate=mandate(**changes)))
        assert refusal.value.reason == "NO_TEMPLATE"
    assert await counts(prepared) == before


async def test_the_seal_is_the_providers_whatever_certificate_is_shown(prepared: World) -> None:
    await look_up(prepared)
    before = await counts(prepared)
    with pytest.raises(InvalidArgument) as refusal:
        await issue(prepared, certificate=b"certificate of " + CLERK.encode())
    assert refusal.value.field == "certificate"
    assert await counts(prepared) == before


async def test_a_provider_that_may_not_issue_the_output_issues_none(prepared: World) -> None:
    await prepared.update_type(OUTPUT, "issuers", issuers=[FIRST_BANK])
    await look_up(prepared)
    with pytest.raises(DomainError):
        await issue(prepared)
    assert not await prepared.list_documents(ministry_officer, document_type=OUTPUT)


# --- The log -----------------------------------------------------------------


async def test_no_request_is_said_to_be_submitted_or_ended_without_its_statement(
    prepared: World,
) -> None:
    await append(prepared, "draft", 1)
    before = await counts(prepared)
    for state in ("submitted", "in_progress", "issued", "refused", "under_appeal", "hearing"):
        with pytest.raises(FailedPrecondition) as refusal:
            await append(prepared, state, 2)
        assert refusal.value.reason == "NOT_SIGNED"
    assert await counts(prepared) == before


async def test_a_signed_request_is_nobody_elses(prepared: World) -> None:
    await append(prepared, "submitted", 1, delegation())
    for member, other in (("applicant", SPOUSE), ("public_service", "publicServices/other")):
        for signed_texts in (None, delegation()):
            changes: dict[str, Any] = {member: other}
            with pytest.raises(PermissionDenied):
                await append(prepared, "issued", 2, signed_texts, **changes)
    with pytest.raises(PermissionDenied):
        await append(prepared, "submitted", 1, delegation(), request="serviceRequests/two")
