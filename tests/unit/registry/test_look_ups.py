"""Looking up in place of paper: what opens a document, what leaves a record, what is refused."""

from __future__ import annotations

import asyncio
import uuid
from datetime import timedelta
from typing import Any

import pytest

from qagazsyz.receipts import parse_entry, verify_receipt
from qagazsyz.registry.v1 import consents_pb2, documents_pb2
from services.registry.log.sequencer import Sequencer
from services.registry.lookups import lookups
from services.runtime.access import Caller, Role
from services.runtime.errors import (
    AlreadyExists,
    FailedPrecondition,
    InvalidArgument,
    PermissionDenied,
)
from tests.unit.registry.ledger import log_key
from tests.unit.registry.world import (
    ADDRESS,
    CITIZEN,
    FIRST_BANK,
    LAW,
    MARRIAGE,
    MINISTRY,
    NOW,
    PURPOSE,
    SECOND_BANK,
    SPOUSE,
    STRANGER,
    TELLER,
    World,
    auditor,
    bank_officer,
    by,
    citizen,
    ministry_officer,
    operator,
    other_bank_officer,
    spouse,
    stranger,
)

REQUEST_ID = str(uuid.UUID(int=9))
LOOKED_UP = consents_pb2.ACCESS_EVENT_LOOKED_UP
REFUSED = consents_pb2.ACCESS_EVENT_REFUSED
DOWNLOADED = consents_pb2.ACCESS_EVENT_DOWNLOADED


async def withdraw(world: World, name: str, caller: Caller = citizen) -> consents_pb2.Consent:
    found = await world.consents.WithdrawConsent(
        consents_pb2.WithdrawConsentRequest(name=name), by(caller)
    )
    assert isinstance(found, consents_pb2.Consent)
    return found


async def refused(world: World, caller: Caller = bank_officer, **changes: str) -> str:
    """The words of a look-up's refusal."""
    with pytest.raises(PermissionDenied) as refusal:
        await world.look_up(caller, **changes)
    return refusal.value.message


async def get(world: World, name: str, caller: Caller, access: str) -> documents_pb2.Document:
    found = await world.documents.GetDocument(
        documents_pb2.GetDocumentRequest(name=name, access=access), by(caller)
    )
    assert isinstance(found, documents_pb2.Document)
    return found


async def download(world: World, name: str, caller: Caller, access: str = "") -> bytes:
    body = await world.documents.DownloadDocument(
        documents_pb2.DownloadDocumentRequest(name=name, access=access), by(caller)
    )
    return bytes(body.data)


async def allow_by_law(
    world: World, organization: str = FIRST_BANK, expire_time: object = None
) -> None:
    basis = documents_pb2.LegalBasis(organization=organization, purpose=PURPOSE, citation=LAW)
    if expire_time is not None:
        basis.expire_time.FromDatetime(expire_time)
    await world.documents.UpdateDocumentType(
        documents_pb2.UpdateDocumentTypeRequest(
            document_type=documents_pb2.DocumentType(name=ADDRESS, legal_bases=[basis])
        ),
        by(operator),
    )


# --- What a look-up rests on -------------------------------------------------


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


async def test_a_look_up_gives_those_in_force_newest_first(world: World) -> None:
    names = []
    for _ in range(3):
        names.append((await world.register()).name)
        world.clock.advance(seconds=1)
    revoked = await world.register()
    await world.documents.RevokeDocument(
        documents_pb2.RevokeDocumentRequest(name=revoked.name, reason="mistaken"),
        by(ministry_officer),
    )
    erased = await world.register()
    await world.documents.EraseDocument(
        documents_pb2.EraseDocumentRequest(name=erased.name, citation="Law"), by(operator)
    )
    await world.register(expire_time=world.clock() + timedelta(seconds=60))
    world.clock.advance(seconds=60)
    await world.grant()
    found = await world.look_up()
    assert [document.name for document in found.documents] == names[::-1]


async def test_a_look_up_that_finds_nothing_leaves_a_record_too(world: World) -> None:
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
    world: World, caller: Caller, changes: dict[str, str]
) -> None:
    await world.register()
    await world.grant()
    await refused(world, caller, **changes)


async def test_a_law_opens_nothing_else(world: World) -> None:
    await allow_by_law(world, SECOND_BANK, NOW + timedelta(hours=1))
    await refused(world, bank_officer)
    await refused(world, other_bank_officer, purpose="marketing")
    await world.look_up(other_bank_officer)
    world.clock.advance(hours=1)
    await refused(world, other_bank_officer)


async def test_an_expired_consent_opens_nothing(world: World) -> None:
    await world.grant(expire_time=NOW + timedelta(hours=1))
    await world.look_up()
    world.clock.advance(hours=1)
    await refused(world)


async def test_withdrawn_consent_stops_the_next_look_up(world: World) -> None:
    await world.register()
    consent = await world.grant()
    await world.look_up()
    await withdraw(world, consent.name)
    await refused(world)


async def test_a_consent_withdrawn_while_a_look_up_waits_stops_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.register()
    consent = await world.grant()
    submit = Sequencer.submit
    withdrawn = []

    async def withdrawing(*arguments: Any, **keywords: Any) -> Any:
        if not withdrawn:
            withdrawn.append(consent.name)
            await withdraw(world, consent.name)
        return await submit(*arguments, **keywords)

    monkeypatch.setattr(Sequencer, "submit", withdrawing)
    await refused(world)
    assert [access.event for access in await world.accesses()] == [REFUSED]


async def test_another_consent_serves_when_one_was_withdrawn(world: World) -> None:
    first = await world.grant()
    second = await world.grant()
    await withdraw(world, first.name)
    await world.look_up()
    (access,) = await world.accesses()
    assert access.basis == second.name


# --- Refusals ----------------------------------------------------------------


async def test_a_refusal_is_on_record_and_the_subject_sees_it(world: World) -> None:
    document = await world.register()
    await refused(world, other_bank_officer)
    (access,) = await world.accesses()
    assert access.event == REFUSED
    assert access.organization == SECOND_BANK
    assert access.basis == ""
    assert not access.documents
    entry = parse_entry(access.receipt.entry)
    assert entry["event"] == "refused"
    assert document.name.encode() not in access.receipt.entry


async def test_a_refusal_tells_not_whether_there_is_such_a_subject(world: World) -> None:
    await world.register()
    world.directory.subject_questions.clear()
    known = await refused(world)
    unknown = await refused(world, subject="subjects/nobody")
    no_type = await refused(world, document_type="documentTypes/nothing")
    assert known == unknown == no_type
    assert world.directory.subject_questions == []
    assert len(await world.accesses(auditor)) == 3


@pytest.mark.parametrize(
    ("field", "changes"),
    [
        ("subject", {"subject": "791028302728"}),
        ("document_type", {"document_type": "address-certificate"}),
        ("purpose", {"purpose": "Mortgage application"}),
        ("reason", {"reason": "x" * 1001}),
        ("request_id", {"request_id": "nine"}),
    ],
)
async def test_what_can_be_no_look_up_is_told_and_leaves_no_record(
    world: World, field: str, changes: dict[str, str]
) -> None:
    with pytest.raises(InvalidArgument, match=field):
        await world.look_up(**changes)
    assert await world.accesses(auditor) == []


# --- Repeats -----------------------------------------------------------------


async def test_a_repeat_leaves_no_second_record(world: World) -> None:
    document = await world.register()
    await world.grant()
    first = await world.look_up(request_id=REQUEST_ID)
    world.clock.advance(minutes=14)
    # Registered since: it is not in the record, so the repeat must not give it.
    await world.register()
    assert await world.look_up(request_id=REQUEST_ID) == first
    assert list(first.documents) == [document]
    assert len(await world.accesses()) == 1


async def test_a_repeat_gives_no_more_what_is_not_in_force(world: World) -> None:
    document = await world.register()
    await world.grant()
    await world.look_up(request_id=REQUEST_ID)
    await world.documents.RevokeDocument(
        documents_pb2.RevokeDocumentRequest(name=document.name, reason="mistaken"),
        by(ministry_officer),
    )
    assert not (await world.look_up(request_id=REQUEST_ID)).documents


async def test_after_fifteen_minutes_a_repeat_is_a_new_look_up(world: World) -> None:
    await world.register()
    await world.grant()
    first = await world.look_up(request_id=REQUEST_ID)
    world.clock.advance(minutes=15)
    second = await world.look_up(request_id=REQUEST_ID)
    assert second.access != first.access
    world.clock.advance(minutes=1)
    assert (await world.look_up(request_id=REQUEST_ID)).access == second.access
    assert len(await world.accesses()) == 2


async def test_a_repeat_checks_the_consent_anew(world: World) -> None:
    await world.register()
    consent = await world.grant()
    await world.look_up(request_id=REQUEST_ID)
    await withdraw(world, consent.name)
    await refused(world, request_id=REQUEST_ID)


async def test_a_refusal_is_never_replayed(world: World) -> None:
    await refused(world, request_id=REQUEST_ID)
    world.clock.advance(seconds=1)
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


# --- What the record opens ---------------------------------------------------


async def test_the_record_lets_the_bank_read_and_download(world: World) -> None:
    document = await world.register(content=b"%PDF")
    await world.grant()
    found = await world.look_up()
    assert await get(world, document.name, bank_officer, found.access) == document
    assert await download(world, document.name, bank_officer, found.access) == b"%PDF"
    receipt = await world.documents.GetReceipt(
        documents_pb2.GetReceiptRequest(document=document.name, access=found.access),
        by(bank_officer),
    )
    assert verify_receipt(receipt, log_key().verifier, b"%PDF").content_verified


async def test_the_record_opens_nothing_to_anybody_else(world: World) -> None:
    document = await world.register()
    other = await world.register(subjects=[STRANGER])
    await world.grant()
    access = (await world.look_up()).access
    for method in (get, download):
        for caller in (other_bank_officer, stranger):
            with pytest.raises(PermissionDenied):
                await method(world, document.name, caller, access)
        for name in (other.name, "documents/nowhere"):
            with pytest.raises(PermissionDenied):
                await method(world, name, bank_officer, access)
        for wrong in ("", "accesses/nowhere"):
            with pytest.raises(PermissionDenied):
                await method(world, document.name, bank_officer, wrong)


async def test_the_record_is_good_for_fifteen_minutes(world: World) -> None:
    document = await world.register()
    await world.grant()
    access = (await world.look_up()).access
    world.clock.advance(minutes=14, seconds=59)
    await download(world, document.name, bank_officer, access)
    world.clock.advance(seconds=1)
    for method in (get, download):
        with pytest.raises(PermissionDenied):
            await method(world, document.name, bank_officer, access)


async def test_the_record_of_a_download_or_refusal_opens_nothing(world: World) -> None:
    document = await world.register()
    await refused(world)
    await download(world, document.name, ministry_officer)
    for access in await world.accesses():
        with pytest.raises(PermissionDenied):
            await download(world, document.name, bank_officer, access.name)


async def test_a_bank_that_also_issues_the_type_needs_a_record_all_the_same(world: World) -> None:
    await world.documents.UpdateDocumentType(
        documents_pb2.UpdateDocumentTypeRequest(
            document_type=documents_pb2.DocumentType(name=ADDRESS, issuers=[MINISTRY, FIRST_BANK])
        ),
        by(operator),
    )
    document = await world.register()
    with pytest.raises(PermissionDenied):
        await get(world, document.name, bank_officer, "")


# --- Downloads ---------------------------------------------------------------


async def test_each_download_by_an_organization_is_on_record(world: World) -> None:
    document = await world.register(subjects=[CITIZEN, SPOUSE])
    consent = await world.grant()
    found = await world.look_up()
    world.clock.advance(seconds=1)
    await download(world, document.name, bank_officer, found.access)
    world.clock.advance(seconds=1)
    await download(world, document.name, ministry_officer)
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
        await world.documents.EraseDocument(
            documents_pb2.EraseDocumentRequest(name=document.name, citation="Law"), by(operator)
        )
        await record(*arguments)

    monkeypatch.setattr(lookups.LookUps, "record_download", erasing)
    with pytest.raises(FailedPrecondition):
        await download(world, document.name, ministry_officer)
    assert await world.accesses() == []


# --- Accesses ----------------------------------------------------------------


async def test_who_shares_a_document_sees_who_looked_at_it(world: World) -> None:
    shared = await world.register(document_type=MARRIAGE, subjects=[CITIZEN, SPOUSE])
    world.clock.advance(seconds=1)
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
    await refused(world)
    assert await world.accesses(stranger) == []
    assert len(await world.accesses(citizen, CITIZEN)) == 1
    with pytest.raises(PermissionDenied):
        await world.accesses(stranger, CITIZEN)


async def test_an_auditor_sees_every_access(world: World) -> None:
    await refused(world)
    await refused(world, subject=STRANGER)
    assert len(await world.accesses(auditor)) == 2
    assert len(await world.accesses(auditor, STRANGER)) == 1


async def test_every_access_can_be_checked_against_the_log(world: World) -> None:
    await world.register()
    await world.grant()
    await world.look_up()
    await refused(world, other_bank_officer)
    for access in await world.accesses():
        proved = verify_receipt(access.receipt, log_key().verifier)
        assert proved.entry["access"] == access.name
        assert proved.openings["subjects[0]"] == CITIZEN.encode()
        assert proved.openings["officer"] == access.officer.encode()
        for secret in (CITIZEN, access.officer, access.reason, access.basis):
            assert not secret or secret.encode() not in access.receipt.entry


async def test_accesses_come_in_pages(world: World) -> None:
    for _ in range(3):
        await refused(world)
        world.clock.advance(seconds=1)
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
    from services.runtime.access import access_rule

    service = consents_pb2.DESCRIPTOR.services_by_name["ConsentService"]
    rule = access_rule(service.methods_by_name["ListAccesses"])
    assert rule is not None
    assert set(rule.roles) == {Role.ROLE_CITIZEN, Role.ROLE_AUDITOR}
