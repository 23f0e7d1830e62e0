"""ConsentService: who reads, lists and withdraws consents, and who sees accesses."""

from __future__ import annotations

from datetime import UTC, timedelta

import pytest

from qagazsyz.registry.v1 import consents_pb2
from services.runtime.access import Caller
from services.runtime.errors import (
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
    ministry_officer,
    other_bank_officer,
    spouse,
    stranger,
    verified,
)


async def test_a_consent_has_every_field_asked_for(world: World) -> None:
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


async def test_a_consent_without_an_end_lasts_ninety_days(world: World) -> None:
    consent = await world.grant()
    assert consent.expire_time.ToDatetime(tzinfo=UTC) == NOW + timedelta(days=90)


async def test_no_consent_is_granted_while_the_organization_cannot_be_checked(
    world: World,
) -> None:
    world.directory.is_down = True
    with pytest.raises(Unavailable):
        await world.grant()


@pytest.mark.parametrize("caller", [spouse, stranger, auditor])
async def test_only_its_subject_withdraws_a_consent(world: World, caller: Caller) -> None:
    consent = await world.grant()
    for name in (consent.name, "consents/nowhere"):
        with pytest.raises(PermissionDenied):
            await world.withdraw(name, caller)
    assert not (await world.get_consent(consent.name, citizen)).HasField("withdraw_time")


@pytest.mark.parametrize("caller", [citizen, bank_officer, auditor])
async def test_its_subject_its_organization_and_auditors_read_a_consent(
    world: World, caller: Caller
) -> None:
    consent = await world.grant()
    assert await world.get_consent(consent.name, caller) == consent


@pytest.mark.parametrize("caller", [stranger, other_bank_officer, ministry_officer])
async def test_a_refusal_does_not_reveal_whether_a_consent_exists(
    world: World, caller: Caller
) -> None:
    consent = await world.grant()
    refusals = []
    for name in (consent.name, "consents/nowhere"):
        with pytest.raises(PermissionDenied) as refusal:
            await world.get_consent(name, caller)
        refusals.append(refusal.value.message)
    assert refusals[0] == refusals[1]


async def test_an_auditor_gets_not_found(world: World) -> None:
    with pytest.raises(NotFound):
        await world.get_consent("consents/nowhere", auditor)


async def test_each_caller_lists_their_own_consents(world: World) -> None:
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


async def test_every_subject_of_a_document_sees_the_accesses_to_it(world: World) -> None:
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


async def test_an_officer_lists_their_own_organizations_accesses_with_openings(
    world: World,
) -> None:
    await world.look_up_refused()
    await world.look_up_refused(other_bank_officer)
    (mine,) = await world.accesses(bank_officer)
    (theirs,) = await world.accesses(other_bank_officer)
    assert (mine.organization, theirs.organization) == (
        bank_officer.organization,
        other_bank_officer.organization,
    )
    proved = verified(mine.receipt)
    assert proved.openings["subjects[0]"] == CITIZEN.encode()
    assert proved.openings["officer"] == mine.officer.encode()
    assert await world.accesses(bank_officer, CITIZEN) == [mine]
    assert (
        await world.accesses(bank_officer, "subjects/" + "0" * 8 + "-0000-7000-8000-" + "0" * 12)
        == []
    )
