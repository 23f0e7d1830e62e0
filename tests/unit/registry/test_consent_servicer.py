"""ConsentService: who reads, lists and withdraws consents, and who sees accesses."""

from __future__ import annotations

import asyncio
import uuid
from datetime import UTC, timedelta

import pytest

from qagazsyz.registry.v1 import consents_pb2
from services.runtime.access import Caller, Role, access_rule
from services.runtime.errors import (
    AlreadyExists,
    NotFound,
    PermissionDenied,
    Unavailable,
)
from tests.unit.registry.ledger import NOW
from tests.unit.registry.world import (
    ADDRESS,
    CITIZEN,
    FIRST_BANK,
    MARRIAGE,
    PURPOSE,
    SECOND_BANK,
    SPOUSE,
    STRANGER,
    World,
    auditor,
    bank_officer,
    by,
    citizen,
    consent_message,
    ministry_officer,
    other_bank_officer,
    spouse,
    stranger,
    verified,
)

REQUEST_ID = str(uuid.UUID(int=3))


def without_receipts(consent: consents_pb2.Consent) -> consents_pb2.Consent:
    """Receipts differ with the checkpoint that they are made against."""
    copy = consents_pb2.Consent()
    copy.CopyFrom(consent)
    copy.ClearField("grant_receipt")
    copy.ClearField("withdraw_receipt")
    return copy


async def test_a_consent_says_all_that_was_asked_for(world: World) -> None:
    consent = await world.grant(expire_time=NOW + timedelta(days=5))
    assert consent.name.startswith("consents/")
    assert consent.subject == CITIZEN
    assert consent.organization == FIRST_BANK
    assert consent.document_type == ADDRESS
    assert consent.purpose == PURPOSE
    assert consent.purpose_text == "Ипотека үшін"
    assert consent.create_time.ToDatetime(tzinfo=UTC) == NOW
    assert consent.expire_time.ToDatetime(tzinfo=UTC) == NOW + timedelta(days=5)
    assert not consent.HasField("withdraw_time")


async def test_a_consent_ends_after_ninety_days_if_not_said_otherwise(world: World) -> None:
    consent = await world.grant()
    assert consent.expire_time.ToDatetime(tzinfo=UTC) == NOW + timedelta(days=90)


async def test_a_consent_cannot_be_given_while_nobody_knows_the_organization(
    world: World,
) -> None:
    world.directory.is_down = True
    with pytest.raises(Unavailable):
        await world.grant()


async def test_a_repeated_grant_gives_one_consent(world: World) -> None:
    request = consents_pb2.GrantConsentRequest(consent=consent_message(), request_id=REQUEST_ID)
    found = await asyncio.gather(
        *(world.consents.GrantConsent(request, by(citizen)) for _ in range(5))
    )
    world.clock.move(days=200)
    found.append(await world.consents.GrantConsent(request, by(citizen)))
    assert {each.name for each in found} == {found[0].name}
    assert len(await world.list_consents(citizen)) == 1
    request.consent.purpose = "marketing"
    with pytest.raises(AlreadyExists, match="request_id"):
        await world.consents.GrantConsent(request, by(citizen))
    # It is the citizen's own: another's is another request.
    assert (await world.consents.GrantConsent(request, by(spouse))).subject == SPOUSE


async def test_a_withdrawal_is_done_once(world: World) -> None:
    consent = await world.grant()
    world.clock.move(days=1)
    first = await world.withdraw(consent.name)
    assert first.withdraw_time.ToDatetime(tzinfo=UTC) == world.clock()
    world.clock.move(days=1)
    again = await world.withdraw(consent.name)
    assert without_receipts(again) == without_receipts(first)


@pytest.mark.parametrize("caller", [spouse, stranger, auditor])
async def test_nobody_withdraws_anothers_consent(world: World, caller: Caller) -> None:
    consent = await world.grant()
    for name in (consent.name, "consents/nowhere"):
        with pytest.raises(PermissionDenied):
            await world.withdraw(name, caller)
    assert not (await world.get_consent(consent.name, citizen)).HasField("withdraw_time")


@pytest.mark.parametrize("caller", [citizen, bank_officer, auditor])
async def test_a_consent_is_read_by_those_whom_it_concerns(world: World, caller: Caller) -> None:
    consent = await world.grant()
    assert await world.get_consent(consent.name, caller) == consent


@pytest.mark.parametrize("caller", [stranger, other_bank_officer, ministry_officer])
async def test_nobody_else_learns_whether_a_consent_exists(world: World, caller: Caller) -> None:
    consent = await world.grant()
    refusals = []
    for name in (consent.name, "consents/nowhere"):
        with pytest.raises(PermissionDenied) as refusal:
            await world.get_consent(name, caller)
        refusals.append(refusal.value.message)
    assert refusals[0] == refusals[1]


async def test_an_auditor_is_told_what_does_not_exist(world: World) -> None:
    with pytest.raises(NotFound):
        await world.get_consent("consents/nowhere", auditor)


async def test_each_lists_the_consents_that_are_theirs(world: World) -> None:
    first = (await world.grant()).name
    world.clock.move(seconds=1)
    second = (await world.grant(organization=SECOND_BANK)).name
    assert await world.list_consents(citizen) == [second, first]
    assert await world.list_consents(citizen, CITIZEN) == [second, first]
    assert await world.list_consents(bank_officer) == [first]
    assert await world.list_consents(bank_officer, CITIZEN) == [first]
    assert await world.list_consents(bank_officer, SPOUSE) == []
    assert await world.list_consents(auditor) == [second, first]
    assert await world.list_consents(spouse) == []
    with pytest.raises(PermissionDenied):
        await world.list_consents(spouse, CITIZEN)


async def test_grants_and_withdrawals_can_be_checked_against_the_log(world: World) -> None:
    consent = await world.grant()
    consent = await world.withdraw(consent.name)
    for event, receipt in (
        ("consented", consent.grant_receipt),
        ("withdrawn", consent.withdraw_receipt),
    ):
        proved = verified(receipt)
        assert proved.entry["event"] == event
        assert proved.entry["consent"] == consent.name
        assert proved.entry["organization"] == FIRST_BANK
        assert proved.entry["purpose"] == PURPOSE
        assert proved.openings == {"subjects[0]": CITIZEN.encode()}
        assert CITIZEN.encode() not in receipt.entry


async def test_who_shares_a_document_sees_who_looked_at_it(world: World) -> None:
    shared = await world.register(document_type=MARRIAGE, subjects=[CITIZEN, SPOUSE])
    world.clock.move(seconds=1)
    own = await world.register(document_type=MARRIAGE, subjects=[CITIZEN, STRANGER])
    await world.grant(document_type=MARRIAGE)
    await world.look_up(document_type=MARRIAGE)
    (seen,) = await world.accesses(citizen)
    assert list(seen.documents) == [own.name, shared.name]
    (by_spouse,) = await world.accesses(spouse)
    assert by_spouse.name == seen.name
    # And nothing of what is not theirs.
    assert list(by_spouse.documents) == [shared.name]


async def test_accesses_are_the_subjects_own(world: World) -> None:
    await world.look_up_refused()
    assert await world.accesses(stranger) == []
    assert len(await world.accesses(citizen, CITIZEN)) == 1
    with pytest.raises(PermissionDenied):
        await world.accesses(stranger, CITIZEN)


async def test_an_auditor_sees_every_access(world: World) -> None:
    await world.look_up_refused()
    await world.look_up_refused(subject=STRANGER)
    assert len(await world.accesses(auditor)) == 2
    assert len(await world.accesses(auditor, STRANGER)) == 1


async def test_every_access_can_be_checked_against_the_log(world: World) -> None:
    await world.register()
    await world.grant()
    await world.look_up()
    await world.look_up_refused(other_bank_officer)
    for access in await world.accesses():
        proved = verified(access.receipt)
        assert proved.entry["access"] == access.name
        assert proved.openings["subjects[0]"] == CITIZEN.encode()
        assert proved.openings["officer"] == access.officer.encode()
        for secret in (CITIZEN, access.officer, access.reason, access.basis):
            assert not secret or secret.encode() not in access.receipt.entry


async def test_accesses_come_in_pages(world: World) -> None:
    for _ in range(3):
        await world.look_up_refused()
        world.clock.move(seconds=1)
    first = await world.consents.ListAccesses(
        consents_pb2.ListAccessesRequest(page_size=2), by(citizen)
    )
    second = await world.consents.ListAccesses(
        consents_pb2.ListAccessesRequest(page_size=2, page_token=first.next_page_token),
        by(citizen),
    )
    found = [access.name for access in [*first.accesses, *second.accesses]]
    assert len(found) == 3
    assert found == sorted(found, reverse=True)
    assert second.next_page_token == ""


def test_an_officer_may_list_no_accesses() -> None:
    # ListAccesses' access option names citizens and auditors alone.
    service = consents_pb2.DESCRIPTOR.services_by_name["ConsentService"]
    rule = access_rule(service.methods_by_name["ListAccesses"])
    assert rule is not None
    assert set(rule.roles) == {Role.ROLE_CITIZEN, Role.ROLE_AUDITOR}
