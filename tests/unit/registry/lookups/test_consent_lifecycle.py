"""Consents: granted once, withdrawn once, each with its proof."""

from __future__ import annotations

import asyncio
import uuid
from datetime import UTC

import pytest

from qagazsyz.registry.v1 import consents_pb2
from services.runtime.errors import (
    AlreadyExists,
)
from tests.unit.registry.world import (
    CITIZEN,
    FIRST_BANK,
    PURPOSE,
    SPOUSE,
    World,
    by,
    citizen,
    consent_message,
    spouse,
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
        assert proved.openings == {
            "subjects[0]": CITIZEN.encode(),
            "purpose_text": consent.purpose_text.encode(),
        }
        assert CITIZEN.encode() not in receipt.entry
