"""DocumentService: who may read, list, download and check documents."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import cast

import pytest

from qagazsyz.registry.v1 import documents_pb2
from services.runtime.access import Caller
from services.runtime.errors import (
    InvalidArgument,
    NotFound,
    PermissionDenied,
)
from services.runtime.server import Call
from tests.calls import FakeCall
from tests.unit.registry.ledger import NOW
from tests.unit.registry.world import (
    ADDRESS,
    CITIZEN,
    FIRST_BANK,
    MARRIAGE,
    MINISTRY,
    SPOUSE,
    STRANGER,
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
    verified,
)

READERS = [citizen, ministry_officer, auditor]
OTHERS = [stranger, bank_officer, other_bank_officer, operator]
NOWHERE = "documents/nowhere"


@pytest.mark.parametrize("caller", READERS)
async def test_subjects_the_issuer_and_auditors_read_a_document(
    world: World, caller: Caller
) -> None:
    document = await world.register(content=b"%PDF", subjects=[CITIZEN, SPOUSE])
    assert await world.get(document.name, caller) == document
    found = verified(await world.receipt(document.name, caller), b"%PDF")
    assert found.content_verified
    assert found.openings["subjects[0]"] == CITIZEN.encode()
    assert found.openings["subjects[1]"] == SPOUSE.encode()


@pytest.mark.parametrize("caller", OTHERS)
async def test_a_refusal_does_not_reveal_whether_a_document_exists(
    world: World, caller: Caller
) -> None:
    document = await world.register()
    for method in (world.get, world.receipt, world.download):
        refusals = []
        for name in (document.name, NOWHERE):
            with pytest.raises(PermissionDenied) as refusal:
                await method(name, caller)
            refusals.append(refusal.value.message)
        assert refusals[0] == refusals[1]


async def test_an_auditor_gets_not_found_and_no_content(world: World) -> None:
    document = await world.register()
    with pytest.raises(NotFound):
        await world.get(NOWHERE, auditor)
    with pytest.raises(PermissionDenied):
        await world.download(document.name, auditor)


async def test_an_officer_of_the_subjects_own_name_is_no_subject(world: World) -> None:
    # A person who signed in for an organization acts for it and not for themselves.
    document = await world.register()
    as_officer = Caller(CITIZEN, bank_officer.organization, bank_officer.roles)
    with pytest.raises(PermissionDenied):
        await world.get(document.name, as_officer)


async def test_a_subject_downloads_and_leaves_no_record(world: World) -> None:
    document = await world.register(content=b"%PDF")
    assert await world.download(document.name, citizen) == b"%PDF"
    assert await world.accesses() == []


async def test_a_browser_runs_no_download(world: World) -> None:
    document = await world.register(media_type="text/html")
    call = FakeCall(citizen)
    body = await world.documents.DownloadDocument(
        documents_pb2.DownloadDocumentRequest(name=document.name), cast("Call", call)
    )
    assert body.content_type == "text/html"
    assert call.headers["content-disposition"] == "attachment"
    assert call.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("name", ["", "documents/", "document/a", "documents/A", "documents/a/b"])
async def test_a_malformed_name_is_told(world: World, name: str) -> None:
    with pytest.raises(InvalidArgument, match="name"):
        await world.get(name, citizen)


async def test_each_caller_lists_their_own_documents(world: World) -> None:
    address = (await world.register()).name
    marriage = (await world.register(document_type=MARRIAGE, subjects=[CITIZEN, SPOUSE])).name
    other = (await world.register(subjects=[STRANGER])).name
    listed = world.list_documents
    assert await listed(citizen) == sorted([marriage, address], reverse=True)
    assert await listed(citizen, document_type=ADDRESS) == [address]
    assert await listed(citizen, subject=CITIZEN, document_type=MARRIAGE) == [marriage]
    assert await listed(spouse) == [marriage]
    assert sorted(await listed(ministry_officer)) == sorted([address, marriage, other])
    assert await listed(ministry_officer, subject=STRANGER) == [other]
    assert await listed(ministry_officer, subject=SPOUSE, document_type=ADDRESS) == []
    assert await listed(bank_officer) == []
    assert await listed(bank_officer, subject=CITIZEN) == []
    assert sorted(await listed(auditor)) == sorted([address, marriage, other])
    assert await listed(auditor, subject=SPOUSE) == [marriage]


async def test_a_citizen_lists_no_other_subjects_documents(world: World) -> None:
    with pytest.raises(PermissionDenied):
        await world.list_documents(stranger, subject=CITIZEN)


async def test_a_list_comes_in_pages(world: World) -> None:
    names = []
    for _ in range(5):
        names.append((await world.register()).name)
        world.clock.move(seconds=1)
    token, found = "", []
    for _ in range(3):
        response = await world.documents.ListDocuments(
            documents_pb2.ListDocumentsRequest(page_size=2, page_token=token), by(citizen)
        )
        found += [document.name for document in response.documents]
        token = response.next_page_token
    assert found == names[::-1]
    assert token == ""


async def test_a_page_token_serves_for_its_own_list(world: World) -> None:
    for _ in range(2):
        await world.register()
    response = await world.documents.ListDocuments(
        documents_pb2.ListDocumentsRequest(page_size=1), by(citizen)
    )
    with pytest.raises(InvalidArgument, match="page_token"):
        await world.list_documents(ministry_officer, page_token=response.next_page_token)
    with pytest.raises(InvalidArgument, match="page_size"):
        await world.list_documents(citizen, page_size=-1)


@pytest.mark.parametrize("caller", [bank_officer, other_bank_officer])
async def test_only_the_issuer_revokes_a_document(world: World, caller: Caller) -> None:
    document = await world.register()
    for name in (document.name, NOWHERE):
        with pytest.raises(PermissionDenied):
            await world.revoke(name, caller)
    assert (await world.get(document.name, citizen)).state == document.state


async def test_a_holder_checks_by_code(world: World) -> None:
    document = await world.register(expire_time=NOW + timedelta(days=9))
    (found,) = await world.check(verification_code=document.verification_code)
    assert found.state == documents_pb2.DOCUMENT_STATE_ACTIVE
    assert found.document_type == ADDRESS
    assert found.issuer == MINISTRY
    assert found.create_time == document.create_time
    assert found.expire_time == document.expire_time
    assert verified(found.receipt).openings == {}


async def test_a_code_is_read_as_people_write_it(world: World) -> None:
    code = (await world.register()).verification_code
    for typed in (code.lower(), code.replace("-", ""), code.replace("-", " "), f" {code} "):
        assert len(await world.check(verification_code=typed)) == 1
    misread = code.replace("0", "O").replace("1", "l")
    assert len(await world.check(verification_code=misread)) == 1


async def test_a_holder_checks_by_content(world: World) -> None:
    digest = hashlib.sha256(b"%PDF").digest()
    first = await world.register(content=b"%PDF")
    world.clock.move(seconds=1)
    second = await world.register(content=b"%PDF", subjects=[STRANGER])
    found = await world.check(content_sha256=digest)
    assert [each.create_time for each in found] == [second.create_time, first.create_time]
    for each in found:
        # What opens the hash, which the caller has, and nobody's name.
        assert verified(each.receipt, b"%PDF").openings == {"content_sha256": digest}


async def test_a_check_tells_of_revocation_and_erasure(world: World) -> None:
    document = await world.register()
    await world.revoke(document.name)
    (found,) = await world.check(verification_code=document.verification_code)
    assert found.state == documents_pb2.DOCUMENT_STATE_REVOKED
    assert found.HasField("revoke_time")
    await world.erase(document.name)
    (found,) = await world.check(verification_code=document.verification_code)
    assert found.state == documents_pb2.DOCUMENT_STATE_ERASED


async def test_an_unknown_code_or_hash_is_not_found(world: World) -> None:
    await world.register()
    with pytest.raises(NotFound):
        await world.check(verification_code="0000-0000-0000-0000")
    with pytest.raises(NotFound):
        await world.check(content_sha256=bytes(32))


@pytest.mark.parametrize(
    ("field", "request_"),
    [
        ("verification_code", {"verification_code": "0000-0000"}),
        ("verification_code", {"verification_code": "0" * 10_000}),
        ("verification_code", {"verification_code": "ÄÄÄÄ-0000-0000-0000"}),
        ("content_sha256", {"content_sha256": b"short"}),
        ("by", {}),
    ],
)
async def test_a_malformed_check_names_its_field(
    world: World, field: str, request_: dict[str, object]
) -> None:
    with pytest.raises(InvalidArgument, match=field):
        await world.check(**request_)


async def test_the_record_lets_the_bank_read_and_download(world: World) -> None:
    document = await world.register(content=b"%PDF")
    await world.grant()
    found = await world.look_up()
    assert await world.get(document.name, bank_officer, found.access) == document
    assert await world.download(document.name, bank_officer, found.access) == b"%PDF"
    receipt = await world.documents.GetReceipt(
        documents_pb2.GetReceiptRequest(document=document.name, access=found.access),
        by(bank_officer),
    )
    assert verified(receipt, b"%PDF").content_verified


async def test_the_record_opens_its_documents_to_its_organization_alone(world: World) -> None:
    document = await world.register()
    other = await world.register(subjects=[STRANGER])
    await world.grant()
    access = (await world.look_up()).access
    for method in (world.get, world.download):
        for caller in (other_bank_officer, stranger):
            with pytest.raises(PermissionDenied):
                await method(document.name, caller, access)
        for name in (other.name, "documents/nowhere"):
            with pytest.raises(PermissionDenied):
                await method(name, bank_officer, access)
        for wrong in ("", "accesses/nowhere"):
            with pytest.raises(PermissionDenied):
                await method(document.name, bank_officer, wrong)


async def test_the_record_is_good_for_fifteen_minutes(world: World) -> None:
    document = await world.register()
    await world.grant()
    access = (await world.look_up()).access
    world.clock.move(minutes=14, seconds=59)
    await world.download(document.name, bank_officer, access)
    world.clock.move(seconds=1)
    for method in (world.get, world.download):
        with pytest.raises(PermissionDenied):
            await method(document.name, bank_officer, access)


async def test_the_record_of_a_download_or_refusal_opens_nothing(world: World) -> None:
    document = await world.register()
    await world.look_up_refused()
    await world.download(document.name, ministry_officer)
    for access in await world.accesses():
        with pytest.raises(PermissionDenied):
            await world.download(document.name, bank_officer, access.name)


async def test_another_issuer_of_the_type_needs_a_record_too(world: World) -> None:
    await world.update_type(ADDRESS, issuers=[MINISTRY, FIRST_BANK])
    document = await world.register()
    with pytest.raises(PermissionDenied):
        await world.get(document.name, bank_officer, "")


async def test_types_are_listed_in_pages(world: World) -> None:
    await world.create_type("diploma")
    first = await world.documents.ListDocumentTypes(
        documents_pb2.ListDocumentTypesRequest(page_size=2), by(None)
    )
    second = await world.documents.ListDocumentTypes(
        documents_pb2.ListDocumentTypesRequest(page_size=2, page_token=first.next_page_token),
        by(None),
    )
    found = [each.name for each in [*first.document_types, *second.document_types]]
    assert found == [ADDRESS, "documentTypes/diploma", MARRIAGE]
    assert second.next_page_token == ""


async def test_the_issuer_reads_the_document_it_registered(world: World) -> None:
    document = await world.register()
    again = await world.documents.GetDocument(
        documents_pb2.GetDocumentRequest(name=document.name), by(ministry_officer)
    )
    assert again == document
