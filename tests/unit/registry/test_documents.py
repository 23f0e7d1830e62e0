"""Who may come to a document, and what becomes of it: reading, revoking, erasing, checking."""

from __future__ import annotations

import hashlib
import uuid
from datetime import timedelta
from pathlib import Path

import pytest

from qagazsyz.receipts import VerifiedReceipt, verify_receipt
from qagazsyz.registry.v1 import consents_pb2, documents_pb2, receipts_pb2
from services.registry.audit.audit import audit
from services.registry.audit.source import all_records
from services.runtime.access import Caller
from services.runtime.errors import (
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    Unavailable,
)
from services.runtime.storage.database import sqlite_url
from tests.unit.registry.ledger import log_key
from tests.unit.registry.world import (
    ADDRESS,
    CITIZEN,
    MARRIAGE,
    MINISTRY,
    NOW,
    SPOUSE,
    STRANGER,
    FakeCall,
    World,
    auditor,
    bank_officer,
    by,
    citizen,
    ministry_officer,
    opened_world,
    operator,
    other_bank_officer,
    spouse,
    stranger,
)

READERS = [citizen, ministry_officer, auditor]
OTHERS = [stranger, bank_officer, other_bank_officer, operator]
NOWHERE = "documents/nowhere"
LAW = "Law of 21 May 2013 No. 94-V, article 18"


async def get(world: World, name: str, caller: Caller, access: str = "") -> documents_pb2.Document:
    found = await world.documents.GetDocument(
        documents_pb2.GetDocumentRequest(name=name, access=access), by(caller)
    )
    assert isinstance(found, documents_pb2.Document)
    return found


async def receipt_of(
    world: World, name: str, caller: Caller, access: str = ""
) -> receipts_pb2.Receipt:
    found = await world.documents.GetReceipt(
        documents_pb2.GetReceiptRequest(document=name, access=access), by(caller)
    )
    assert isinstance(found, receipts_pb2.Receipt)
    return found


async def download(world: World, name: str, caller: Caller, access: str = "") -> bytes:
    body = await world.documents.DownloadDocument(
        documents_pb2.DownloadDocumentRequest(name=name, access=access), by(caller)
    )
    return bytes(body.data)


async def revoke(
    world: World, name: str, caller: Caller = ministry_officer, reason: str = "mistaken"
) -> documents_pb2.Document:
    found = await world.documents.RevokeDocument(
        documents_pb2.RevokeDocumentRequest(name=name, reason=reason), by(caller)
    )
    assert isinstance(found, documents_pb2.Document)
    return found


async def erase(world: World, name: str) -> documents_pb2.Document:
    found = await world.documents.EraseDocument(
        documents_pb2.EraseDocumentRequest(name=name, citation=LAW), by(operator)
    )
    assert isinstance(found, documents_pb2.Document)
    return found


async def check(world: World, **by_what: object) -> list[documents_pb2.DocumentCheck]:
    response = await world.documents.CheckDocument(
        documents_pb2.CheckDocumentRequest(**by_what), by(None)
    )
    return list(response.checks)


def verified(receipt: receipts_pb2.Receipt, content: bytes | None = None) -> VerifiedReceipt:
    return verify_receipt(receipt, log_key().verifier, content)


# --- Reading -----------------------------------------------------------------


@pytest.mark.parametrize("caller", READERS)
async def test_subjects_the_issuer_and_auditors_read_a_document(
    world: World, caller: Caller
) -> None:
    document = await world.register(content=b"%PDF", subjects=[CITIZEN, SPOUSE])
    assert await get(world, document.name, caller) == document
    found = verified(await receipt_of(world, document.name, caller), b"%PDF")
    assert found.content_verified
    assert found.openings["subjects[0]"] == CITIZEN.encode()
    assert found.openings["subjects[1]"] == SPOUSE.encode()


@pytest.mark.parametrize("caller", OTHERS)
async def test_nobody_else_learns_whether_a_document_exists(world: World, caller: Caller) -> None:
    document = await world.register()
    for method in (get, receipt_of, download):
        refusals = []
        for name in (document.name, NOWHERE):
            with pytest.raises(PermissionDenied) as refusal:
                await method(world, name, caller)
            refusals.append(refusal.value.message)
        assert refusals[0] == refusals[1]


async def test_an_auditor_is_told_what_does_not_exist_and_given_no_content(world: World) -> None:
    document = await world.register()
    with pytest.raises(NotFound):
        await get(world, NOWHERE, auditor)
    with pytest.raises(PermissionDenied):
        await download(world, document.name, auditor)


async def test_an_officer_of_the_subjects_own_name_is_no_subject(world: World) -> None:
    # A person who signed in for an organization acts for it and not for themselves.
    document = await world.register()
    as_officer = Caller(CITIZEN, bank_officer.organization, bank_officer.roles)
    with pytest.raises(PermissionDenied):
        await get(world, document.name, as_officer)


async def test_a_subject_downloads_and_leaves_no_record(world: World) -> None:
    document = await world.register(content=b"%PDF")
    assert await download(world, document.name, citizen) == b"%PDF"
    assert await world.accesses() == []


async def test_a_download_is_no_page_that_a_browser_runs(world: World) -> None:
    document = await world.register(media_type="text/html")
    call = FakeCall(citizen)
    body = await world.documents.DownloadDocument(
        documents_pb2.DownloadDocumentRequest(name=document.name), call
    )
    assert body.content_type == "text/html"
    assert call.headers["content-disposition"] == "attachment"
    assert call.headers["x-content-type-options"] == "nosniff"


async def test_a_content_that_is_lost_is_unavailable(world: World) -> None:
    document = await world.register()
    async for found in world.objects.list("packs/"):
        await world.objects.delete(found.key)
    with pytest.raises(Unavailable):
        await download(world, document.name, citizen)


@pytest.mark.parametrize("name", ["", "documents/", "document/a", "documents/A", "documents/a/b"])
async def test_a_name_that_can_be_none_is_told(world: World, name: str) -> None:
    with pytest.raises(InvalidArgument, match="name"):
        await get(world, name, citizen)


# --- Lists -------------------------------------------------------------------


async def listed(world: World, caller: Caller, **request: object) -> list[str]:
    response = await world.documents.ListDocuments(
        documents_pb2.ListDocumentsRequest(**request), by(caller)
    )
    return [document.name for document in response.documents]


async def test_each_lists_what_is_theirs(world: World) -> None:
    address = (await world.register()).name
    marriage = (await world.register(document_type=MARRIAGE, subjects=[CITIZEN, SPOUSE])).name
    other = (await world.register(subjects=[STRANGER])).name
    assert await listed(world, citizen) == sorted([marriage, address], reverse=True)
    assert await listed(world, citizen, document_type=ADDRESS) == [address]
    assert await listed(world, citizen, subject=CITIZEN, document_type=MARRIAGE) == [marriage]
    assert await listed(world, spouse) == [marriage]
    assert sorted(await listed(world, ministry_officer)) == sorted([address, marriage, other])
    assert await listed(world, ministry_officer, subject=STRANGER) == [other]
    assert await listed(world, ministry_officer, subject=SPOUSE, document_type=ADDRESS) == []
    assert await listed(world, bank_officer) == []
    assert await listed(world, bank_officer, subject=CITIZEN) == []
    assert sorted(await listed(world, auditor)) == sorted([address, marriage, other])
    assert await listed(world, auditor, subject=SPOUSE) == [marriage]


async def test_a_citizen_lists_nobody_elses(world: World) -> None:
    with pytest.raises(PermissionDenied):
        await listed(world, stranger, subject=CITIZEN)


async def test_a_list_comes_in_pages(world: World) -> None:
    names = []
    for _ in range(5):
        names.append((await world.register()).name)
        world.clock.advance(seconds=1)
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
        await listed(world, ministry_officer, page_token=response.next_page_token)
    with pytest.raises(InvalidArgument, match="page_size"):
        await listed(world, citizen, page_size=-1)


# --- States ------------------------------------------------------------------


async def test_a_document_expires_by_itself(world: World) -> None:
    document = await world.register(expire_time=NOW + timedelta(days=1))
    world.clock.advance(days=1)
    found = await get(world, document.name, citizen)
    assert found.state == documents_pb2.DOCUMENT_STATE_EXPIRED


async def test_the_issuer_revokes_its_document(world: World) -> None:
    document = await world.register()
    world.clock.advance(seconds=5)
    revoked = await revoke(world, document.name)
    assert revoked.state == documents_pb2.DOCUMENT_STATE_REVOKED
    assert revoked.revoke_reason == "mistaken"
    assert revoked.revoke_time.ToDatetime(tzinfo=NOW.tzinfo) == world.clock()
    assert await get(world, document.name, citizen) == revoked


@pytest.mark.parametrize("caller", [bank_officer, other_bank_officer])
async def test_nobody_else_revokes_it(world: World, caller: Caller) -> None:
    document = await world.register()
    for name in (document.name, NOWHERE):
        with pytest.raises(PermissionDenied):
            await revoke(world, name, caller)
    assert (await get(world, document.name, citizen)).state == document.state


async def test_revoking_twice_is_revoking_once(world: World) -> None:
    document = await world.register()
    first = await revoke(world, document.name)
    world.clock.advance(days=1)
    assert await revoke(world, document.name) == first
    with pytest.raises(FailedPrecondition):
        await revoke(world, document.name, reason="another")


async def test_erasure_destroys_what_could_name_or_show_anything(world: World) -> None:
    document = await world.register(content=b"%PDF")
    before = await receipt_of(world, document.name, citizen)
    erased = await erase(world, document.name)
    assert erased.state == documents_pb2.DOCUMENT_STATE_ERASED
    assert erased.title == ""
    assert erased.content_sha256 == b""
    assert not erased.signatures
    for caller in (citizen, ministry_officer):
        with pytest.raises(FailedPrecondition):
            await download(world, document.name, caller)
    after = await receipt_of(world, document.name, citizen)
    assert after.entry == before.entry
    assert verified(after).openings == {}
    with pytest.raises(NotFound):
        await check(world, content_sha256=hashlib.sha256(b"%PDF").digest())


async def test_receipts_given_before_an_erasure_still_verify(world: World) -> None:
    document = await world.register(content=b"%PDF")
    before = await receipt_of(world, document.name, citizen)
    await erase(world, document.name)
    assert verified(before, b"%PDF").content_verified


async def test_nothing_of_an_erased_content_stays_in_the_database(
    world: World,
) -> None:
    document = await world.register(
        content=b"%PDF", title="Тек осында", request_id=str(uuid.UUID(int=1))
    )
    await erase(world, document.name)
    dump = []
    async with world.database.reading() as connection:
        for table in (
            "documents",
            "document_subjects",
            "document_signatures",
            "contents",
            "requests",
        ):
            rows = await connection.exec_driver_sql(f"SELECT * FROM {table}")  # noqa: S608
            dump += [value for row in rows for value in row]
    assert hashlib.sha256(b"%PDF").digest() not in dump
    assert "Тек осында" not in dump
    assert not any(isinstance(value, bytes) and len(value) == 32 for value in dump)


async def test_nothing_of_an_erased_document_stays_in_the_files_of_sqlite(tmp_path: Path) -> None:
    async with opened_world(sqlite_url(tmp_path / "test.db"), tmp_path) as world:
        document = await world.register(content=b"%PDF", title="Тек осында")
        async with world.database.reading() as connection:
            secrets = [
                bytes(value)
                for query in (
                    "SELECT content_salt, content_sha256, statement_key FROM documents",
                    "SELECT salt FROM document_subjects",
                    "SELECT signature FROM document_signatures",
                    "SELECT wrapped_key FROM contents",
                )
                for row in await connection.exec_driver_sql(query)
                for value in row
            ]

        def stays() -> list[bytes]:
            files = [path.read_bytes() for path in tmp_path.glob("test.db*")]
            return [
                secret
                for secret in (*secrets, "Тек осында".encode())
                if any(secret in file for file in files)
            ]

        assert len(stays()) == 7
        await erase(world, document.name)
        assert stays() == []


async def test_erasing_twice_is_erasing_once(world: World) -> None:
    document = await world.register()
    first = await erase(world, document.name)
    world.clock.advance(days=1)
    assert await erase(world, document.name) == first
    with pytest.raises(NotFound):
        await erase(world, NOWHERE)


async def test_an_erased_document_cannot_be_revoked(world: World) -> None:
    document = await world.register()
    await erase(world, document.name)
    with pytest.raises(FailedPrecondition):
        await revoke(world, document.name)


async def test_a_revoked_document_can_be_erased(world: World) -> None:
    document = await world.register()
    await revoke(world, document.name)
    assert (await erase(world, document.name)).state == documents_pb2.DOCUMENT_STATE_ERASED


# --- Checking ----------------------------------------------------------------


async def test_a_holder_checks_by_code(world: World) -> None:
    document = await world.register(expire_time=NOW + timedelta(days=9))
    (found,) = await check(world, verification_code=document.verification_code)
    assert found.state == documents_pb2.DOCUMENT_STATE_ACTIVE
    assert found.document_type == ADDRESS
    assert found.issuer == MINISTRY
    assert found.create_time == document.create_time
    assert found.expire_time == document.expire_time
    assert verified(found.receipt).openings == {}


async def test_a_code_is_read_as_people_write_it(world: World) -> None:
    code = (await world.register()).verification_code
    for typed in (code.lower(), code.replace("-", ""), code.replace("-", " "), f" {code} "):
        assert len(await check(world, verification_code=typed)) == 1
    misread = code.replace("0", "O").replace("1", "l")
    assert len(await check(world, verification_code=misread)) == 1


async def test_a_holder_checks_by_content(world: World) -> None:
    digest = hashlib.sha256(b"%PDF").digest()
    first = await world.register(content=b"%PDF")
    world.clock.advance(seconds=1)
    second = await world.register(content=b"%PDF", subjects=[STRANGER])
    found = await check(world, content_sha256=digest)
    assert [each.create_time for each in found] == [second.create_time, first.create_time]
    for each in found:
        # What opens the hash, which the caller has, and nobody's name.
        assert verified(each.receipt, b"%PDF").openings == {"content_sha256": digest}


async def test_a_check_tells_of_revocation_and_erasure(world: World) -> None:
    document = await world.register()
    await revoke(world, document.name)
    (found,) = await check(world, verification_code=document.verification_code)
    assert found.state == documents_pb2.DOCUMENT_STATE_REVOKED
    assert found.HasField("revoke_time")
    await erase(world, document.name)
    (found,) = await check(world, verification_code=document.verification_code)
    assert found.state == documents_pb2.DOCUMENT_STATE_ERASED


async def test_what_matches_nothing_is_not_found(world: World) -> None:
    await world.register()
    with pytest.raises(NotFound):
        await check(world, verification_code="0000-0000-0000-0000")
    with pytest.raises(NotFound):
        await check(world, content_sha256=bytes(32))


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
async def test_a_check_by_nothing_that_can_match_is_told(
    world: World, field: str, request_: dict[str, object]
) -> None:
    with pytest.raises(InvalidArgument, match=field):
        await check(world, **request_)


# --- The log -----------------------------------------------------------------


async def test_the_audit_finds_every_event_as_it_is_stored(world: World) -> None:
    document = await world.register(subjects=[CITIZEN, SPOUSE], expire_time=NOW + timedelta(days=1))
    await world.register()
    await download(world, document.name, ministry_officer)
    consent = await world.grant()
    await world.look_up()
    await world.consents.WithdrawConsent(
        consents_pb2.WithdrawConsentRequest(name=consent.name), by(citizen)
    )
    with pytest.raises(PermissionDenied):
        await world.look_up()
    await revoke(world, document.name)
    await erase(world, document.name)
    assert await _audited(world) == []


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE documents SET issuer = 'subjects/thief'",
        "UPDATE documents SET media_type = 'text/plain'",
        "UPDATE documents SET expire_time = '2030-01-01 00:00:00'",
        "UPDATE documents SET revoke_time = NULL, revoke_index = NULL",
        "UPDATE document_subjects SET subject = 'subjects/thief'",
        "UPDATE document_subjects SET salt = NULL",
        "DELETE FROM document_subjects",
        "DELETE FROM document_signatures",
        "DELETE FROM documents",
        "UPDATE consents SET purpose = 'anything'",
        "UPDATE consents SET withdraw_time = NULL, withdraw_index = NULL",
        "DELETE FROM consents",
        "UPDATE accesses SET officer = 'subjects/thief'",
        "DELETE FROM accesses",
        "DELETE FROM access_subjects",
    ],
)
async def test_the_audit_finds_a_changed_record(world: World, change: str) -> None:
    document = await world.register()
    consent = await world.grant()
    await world.look_up()
    await world.consents.WithdrawConsent(
        consents_pb2.WithdrawConsentRequest(name=consent.name), by(citizen)
    )
    await revoke(world, document.name)
    assert await _audited(world) == []
    async with world.database.transaction() as connection:
        await connection.exec_driver_sql(change)
    assert await _audited(world) != []


async def withdraw(world: World, name: str) -> None:
    await world.consents.WithdrawConsent(
        consents_pb2.WithdrawConsentRequest(name=name), by(citizen)
    )


async def _audited(world: World) -> list[object]:
    return list(
        await audit(
            world.database,
            world.registry.contents,
            world.objects,
            log_key().verifier,
            records=all_records,
        )
    )
