"""Consents: given, read, listed and taken back."""

from __future__ import annotations

import asyncio
import uuid
from datetime import UTC, datetime, timedelta

import pytest

from qagazsyz.receipts import verify_receipt
from qagazsyz.registry.v1 import consents_pb2
from services.registry.model.consents import check_expire_time
from services.runtime.access import Caller
from services.runtime.errors import (
    AlreadyExists,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    Unavailable,
)
from tests.unit.registry.ledger import log_key
from tests.unit.registry.world import (
    ADDRESS,
    CITIZEN,
    FIRST_BANK,
    NOW,
    PURPOSE,
    SECOND_BANK,
    SPOUSE,
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
)

REQUEST_ID = str(uuid.UUID(int=3))


async def get(world: World, name: str, caller: Caller) -> consents_pb2.Consent:
    found = await world.consents.GetConsent(consents_pb2.GetConsentRequest(name=name), by(caller))
    assert isinstance(found, consents_pb2.Consent)
    return found


async def withdraw(world: World, name: str, caller: Caller = citizen) -> consents_pb2.Consent:
    found = await world.consents.WithdrawConsent(
        consents_pb2.WithdrawConsentRequest(name=name), by(caller)
    )
    assert isinstance(found, consents_pb2.Consent)
    return found


async def listed(world: World, caller: Caller, subject: str = "") -> list[str]:
    response = await world.consents.ListConsents(
        consents_pb2.ListConsentsRequest(subject=subject), by(caller)
    )
    return [consent.name for consent in response.consents]


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


@pytest.mark.parametrize(
    ("now", "asked", "is_allowed"),
    [
        (NOW, NOW + timedelta(days=365), True),
        (NOW, NOW + timedelta(days=365, seconds=1), False),
        (datetime(2028, 2, 29, tzinfo=UTC), datetime(2029, 3, 1, tzinfo=UTC), True),
        (datetime(2028, 2, 29, tzinfo=UTC), datetime(2029, 3, 2, tzinfo=UTC), False),
        (NOW, NOW, False),
        (NOW, NOW - timedelta(days=1), False),
    ],
)
def test_a_consent_lasts_a_year_at_most(now: datetime, asked: datetime, is_allowed: bool) -> None:
    if is_allowed:
        assert check_expire_time(asked, now, "consent.expire_time") == asked
    else:
        with pytest.raises(InvalidArgument, match="expire_time"):
            check_expire_time(asked, now, "consent.expire_time")


@pytest.mark.parametrize(
    ("field", "changes"),
    [
        ("organization", {"organization": "subjects/nobody"}),
        ("organization", {"organization": SPOUSE}),
        ("organization", {"organization": "bank"}),
        ("document_type", {"document_type": "documentTypes/unknown"}),
        ("purpose", {"purpose": "Mortgage"}),
        ("purpose", {"purpose": "x" * 65}),
        ("expire_time", {"expire_time": NOW}),
    ],
)
async def test_what_can_be_no_consent_names_its_field(
    world: World, field: str, changes: dict[str, object]
) -> None:
    with pytest.raises(InvalidArgument, match=f"consent.{field}"):
        await world.grant(**changes)


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
    world.clock.advance(days=200)
    found.append(await world.consents.GrantConsent(request, by(citizen)))
    assert {each.name for each in found} == {found[0].name}
    assert len(await listed(world, citizen)) == 1
    request.consent.purpose = "marketing"
    with pytest.raises(AlreadyExists, match="request_id"):
        await world.consents.GrantConsent(request, by(citizen))
    # It is the citizen's own: another's is another request.
    assert (await world.consents.GrantConsent(request, by(spouse))).subject == SPOUSE


async def test_a_withdrawal_is_done_once(world: World) -> None:
    consent = await world.grant()
    world.clock.advance(days=1)
    first = await withdraw(world, consent.name)
    assert first.withdraw_time.ToDatetime(tzinfo=UTC) == world.clock()
    world.clock.advance(days=1)
    again = await withdraw(world, consent.name)
    assert without_receipts(again) == without_receipts(first)


@pytest.mark.parametrize("caller", [spouse, stranger, auditor])
async def test_nobody_withdraws_anothers_consent(world: World, caller: Caller) -> None:
    consent = await world.grant()
    for name in (consent.name, "consents/nowhere"):
        with pytest.raises(PermissionDenied):
            await withdraw(world, name, caller)
    assert not (await get(world, consent.name, citizen)).HasField("withdraw_time")


@pytest.mark.parametrize("caller", [citizen, bank_officer, auditor])
async def test_a_consent_is_read_by_those_whom_it_concerns(world: World, caller: Caller) -> None:
    consent = await world.grant()
    assert await get(world, consent.name, caller) == consent


@pytest.mark.parametrize("caller", [stranger, other_bank_officer, ministry_officer])
async def test_nobody_else_learns_whether_a_consent_exists(world: World, caller: Caller) -> None:
    consent = await world.grant()
    refusals = []
    for name in (consent.name, "consents/nowhere"):
        with pytest.raises(PermissionDenied) as refusal:
            await get(world, name, caller)
        refusals.append(refusal.value.message)
    assert refusals[0] == refusals[1]


async def test_an_auditor_is_told_what_does_not_exist(world: World) -> None:
    with pytest.raises(NotFound):
        await get(world, "consents/nowhere", auditor)


async def test_each_lists_the_consents_that_are_theirs(world: World) -> None:
    first = (await world.grant()).name
    world.clock.advance(seconds=1)
    second = (await world.grant(organization=SECOND_BANK)).name
    assert await listed(world, citizen) == [second, first]
    assert await listed(world, citizen, CITIZEN) == [second, first]
    assert await listed(world, bank_officer) == [first]
    assert await listed(world, bank_officer, CITIZEN) == [first]
    assert await listed(world, bank_officer, SPOUSE) == []
    assert await listed(world, auditor) == [second, first]
    assert await listed(world, spouse) == []
    with pytest.raises(PermissionDenied):
        await listed(world, spouse, CITIZEN)


async def test_grants_and_withdrawals_can_be_checked_against_the_log(world: World) -> None:
    consent = await world.grant()
    consent = await withdraw(world, consent.name)
    for event, receipt in (
        ("consented", consent.grant_receipt),
        ("withdrawn", consent.withdraw_receipt),
    ):
        proved = verify_receipt(receipt, log_key().verifier)
        assert proved.entry["event"] == event
        assert proved.entry["consent"] == consent.name
        assert proved.entry["organization"] == FIRST_BANK
        assert proved.entry["purpose"] == PURPOSE
        assert proved.openings == {"subjects[0]": CITIZEN.encode()}
        assert CITIZEN.encode() not in receipt.entry
