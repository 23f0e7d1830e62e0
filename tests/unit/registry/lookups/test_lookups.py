"""Look-ups: what they find, what record they leave, and which are refused."""

from __future__ import annotations

import asyncio
import uuid
from datetime import datetime, timedelta
from typing import Any

import pytest

from qagazsyz.receipts import parse_entry
from qagazsyz.registry.v1 import consents_pb2, documents_pb2
from services.registry.log.sequencer import Sequencer
from services.registry.lookups import lookups
from services.runtime.access import Caller
from services.runtime.errors import (
    AlreadyExists,
    FailedPrecondition,
)
from tests.unit.registry.ledger import NOW
from tests.unit.registry.world import (
    ADDRESS,
    CITIZEN,
    FIRST_BANK,
    LAW,
    MARRIAGE,
    MINISTRY,
    PURPOSE,
    SECOND_BANK,
    SPOUSE,
    STRANGER,
    TELLER,
    World,
    auditor,
    bank_officer,
    ministry_officer,
    other_bank_officer,
)

REQUEST_ID = str(uuid.UUID(int=9))
LOOKED_UP = consents_pb2.ACCESS_EVENT_LOOKED_UP
REFUSED = consents_pb2.ACCESS_EVENT_REFUSED
DOWNLOADED = consents_pb2.ACCESS_EVENT_DOWNLOADED


async def allow_by_law(
    world: World, organization: str = FIRST_BANK, expire_time: datetime | None = None
) -> None:
    basis = documents_pb2.LegalBasis(organization=organization, purpose=PURPOSE, citation=LAW)
    if expire_time is not None:
        basis.expire_time.FromDatetime(expire_time)
    await world.update_type(ADDRESS, legal_bases=[basis])


async def test_a_consent_opens_the_subjects_documents_of_its_type(world: World) -> None:
    address = await world.register()
    await world.register(document_type=MARRIAGE)
    await world.register(subjects=[STRANGER])
    consent = await world.grant()
    found = await world.look_up()
    assert list(found.documents) == [address]
    (access,) = await world.accesses()
    assert access.name == found.access
    assert access.event == LOOKED_UP
    assert access.basis == consent.name
    assert list(access.subjects) == [CITIZEN]
    assert list(access.documents) == [address.name]
    assert access.organization == FIRST_BANK
    assert access.officer == TELLER
    assert access.purpose == PURPOSE
    assert access.reason == "Өтінім № 7"


async def test_a_law_opens_them_without_consent(world: World) -> None:
    address = await world.register()
    await allow_by_law(world)
    found = await world.look_up()
    assert list(found.documents) == [address]
    (access,) = await world.accesses()
    assert access.basis == LAW
    assert parse_entry(access.receipt.entry)["basis"] == "law"


async def test_a_look_up_returns_the_documents_in_force_newest_first(world: World) -> None:
    names = []
    for _ in range(3):
        names.append((await world.register()).name)
        world.clock.move(seconds=1)
    revoked = await world.register()
    await world.revoke(revoked.name)
    erased = await world.register()
    await world.erase(erased.name)
    await world.register(expire_time=world.clock() + timedelta(seconds=60))
    world.clock.move(seconds=60)
    await world.grant()
    found = await world.look_up()
    assert [document.name for document in found.documents] == names[::-1]


async def test_a_look_up_without_results_leaves_a_record(world: World) -> None:
    await world.grant()
    found = await world.look_up()
    assert not found.documents
    (access,) = await world.accesses()
    assert access.name == found.access
    assert not access.documents


@pytest.mark.parametrize(
    ("caller", "changes"),
    [
        (other_bank_officer, {}),
        (bank_officer, {"purpose": "marketing"}),
        (bank_officer, {"document_type": MARRIAGE}),
        (bank_officer, {"subject": STRANGER}),
    ],
)
async def test_a_consent_opens_nothing_else(
    world: World, caller: Caller, changes: dict[str, Any]
) -> None:
    await world.register()
    await world.grant()
    await world.look_up_refused(caller, **changes)


async def test_a_law_opens_nothing_else(world: World) -> None:
    await allow_by_law(world, SECOND_BANK, NOW + timedelta(hours=1))
    await world.look_up_refused(bank_officer)
    await world.look_up_refused(other_bank_officer, purpose="marketing")
    await world.look_up(other_bank_officer)
    world.clock.move(hours=1)
    await world.look_up_refused(other_bank_officer)


async def test_an_expired_consent_opens_nothing(world: World) -> None:
    await world.grant(expire_time=NOW + timedelta(hours=1))
    await world.look_up()
    world.clock.move(hours=1)
    await world.look_up_refused()


async def test_withdrawn_consent_stops_the_next_look_up(world: World) -> None:
    await world.register()
    consent = await world.grant()
    await world.look_up()
    await world.withdraw(consent.name)
    await world.look_up_refused()


async def test_a_consent_withdrawn_while_a_look_up_waits_stops_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.register()
    consent = await world.grant()
    submit = Sequencer.submit
    withdrawn: list[str] = []

    async def withdrawing(*arguments: Any, **keywords: Any) -> Any:
        if not withdrawn:
            withdrawn.append(consent.name)
            await world.withdraw(consent.name)
        return await submit(*arguments, **keywords)

    monkeypatch.setattr(Sequencer, "submit", withdrawing)
    await world.look_up_refused()
    assert [access.event for access in await world.accesses()] == [REFUSED]


async def test_another_consent_serves_when_one_was_withdrawn(world: World) -> None:
    first = await world.grant()
    second = await world.grant()
    await world.withdraw(first.name)
    await world.look_up()
    (access,) = await world.accesses()
    assert access.basis == second.name


async def test_a_refusal_is_on_record_and_the_subject_sees_it(world: World) -> None:
    document = await world.register()
    await world.look_up_refused(other_bank_officer)
    (access,) = await world.accesses()
    assert access.event == REFUSED
    assert access.organization == SECOND_BANK
    assert access.basis == ""
    assert not access.documents
    entry = parse_entry(access.receipt.entry)
    assert entry["event"] == "refused"
    assert document.name.encode() not in access.receipt.entry


async def test_a_refusal_does_not_reveal_whether_the_subject_exists(world: World) -> None:
    await world.register()
    world.directory.subject_questions.clear()
    known = await world.look_up_refused()
    unknown = await world.look_up_refused(subject="subjects/nobody")
    no_type = await world.look_up_refused(document_type="documentTypes/nothing")
    assert known == unknown == no_type
    assert world.directory.subject_questions == []
    assert len(await world.accesses(auditor)) == 3


async def test_a_repeat_leaves_no_second_record(world: World) -> None:
    document = await world.register()
    await world.grant()
    first = await world.look_up(request_id=REQUEST_ID)
    world.clock.move(minutes=14)
    # Registered since: it is not in the record, so the repeat must not give it.
    await world.register()
    assert await world.look_up(request_id=REQUEST_ID) == first
    assert list(first.documents) == [document]
    assert len(await world.accesses()) == 1


async def test_a_repeat_leaves_out_documents_revoked_since(world: World) -> None:
    document = await world.register()
    await world.grant()
    await world.look_up(request_id=REQUEST_ID)
    await world.revoke(document.name)
    assert not (await world.look_up(request_id=REQUEST_ID)).documents


async def test_after_fifteen_minutes_a_repeat_is_a_new_look_up(world: World) -> None:
    await world.register()
    await world.grant()
    first = await world.look_up(request_id=REQUEST_ID)
    world.clock.move(minutes=15)
    second = await world.look_up(request_id=REQUEST_ID)
    assert second.access != first.access
    world.clock.move(minutes=1)
    assert (await world.look_up(request_id=REQUEST_ID)).access == second.access
    assert len(await world.accesses()) == 2


async def test_a_repeat_checks_the_consent_anew(world: World) -> None:
    await world.register()
    consent = await world.grant()
    await world.look_up(request_id=REQUEST_ID)
    await world.withdraw(consent.name)
    await world.look_up_refused(request_id=REQUEST_ID)


async def test_a_refusal_is_never_replayed(world: World) -> None:
    await world.look_up_refused(request_id=REQUEST_ID)
    world.clock.move(seconds=1)
    await world.grant()
    await world.look_up(request_id=REQUEST_ID)
    assert [access.event for access in await world.accesses()] == [LOOKED_UP, REFUSED]


async def test_a_request_id_serves_for_one_look_up(world: World) -> None:
    await world.grant()
    await world.look_up(request_id=REQUEST_ID)
    with pytest.raises(AlreadyExists, match="request_id"):
        await world.look_up(request_id=REQUEST_ID, reason="another")
    colleague = Caller("subjects/colleague", FIRST_BANK, bank_officer.roles)
    with pytest.raises(AlreadyExists, match="request_id"):
        await world.look_up(colleague, request_id=REQUEST_ID)


async def test_the_same_request_at_the_same_time_leaves_one_record(world: World) -> None:
    await world.register()
    await world.grant()
    found = await asyncio.gather(*(world.look_up(request_id=REQUEST_ID) for _ in range(6)))
    assert len({each.access for each in found}) == 1
    assert len(await world.accesses()) == 1


async def test_each_download_by_an_organization_is_on_record(world: World) -> None:
    document = await world.register(subjects=[CITIZEN, SPOUSE])
    consent = await world.grant()
    found = await world.look_up()
    world.clock.move(seconds=1)
    await world.download(document.name, bank_officer, found.access)
    world.clock.move(seconds=1)
    await world.download(document.name, ministry_officer)
    issuer, bank, _ = await world.accesses()
    assert (bank.event, bank.basis, bank.purpose) == (DOWNLOADED, consent.name, PURPOSE)
    assert (issuer.event, issuer.basis, issuer.purpose) == (DOWNLOADED, "issuer", "")
    assert issuer.organization == MINISTRY
    for each in (bank, issuer):
        assert list(each.documents) == [document.name]
        assert list(each.subjects) == [CITIZEN, SPOUSE]
        assert parse_entry(each.receipt.entry)["event"] == "downloaded"


async def test_a_document_erased_under_a_download_is_not_given(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = await world.register()
    record = lookups.LookUps.record_download

    async def erasing(*arguments: Any) -> None:
        await world.erase(document.name)
        await record(*arguments)

    monkeypatch.setattr(lookups.LookUps, "record_download", erasing)
    with pytest.raises(FailedPrecondition):
        await world.download(document.name, ministry_officer)
    assert await world.accesses() == []
