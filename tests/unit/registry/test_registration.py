"""Registering documents: what is accepted, what is refused, and what is the same document."""

from __future__ import annotations

import asyncio
import hashlib
import uuid
from dataclasses import replace
from datetime import timedelta

import pytest
from google.rpc import code_pb2, error_details_pb2, status_pb2

from qagazsyz.receipts import parse_entry
from qagazsyz.registry.v1 import documents_pb2
from services.registry.documents import requests as document_requests
from services.registry.documents.interface import Officer
from services.runtime.errors import (
    AlreadyExists,
    InvalidArgument,
    PermissionDenied,
    Unavailable,
)
from tests.unit.registry.world import (
    ADDRESS,
    CITIZEN,
    CLERK,
    MARRIAGE,
    MINISTRY,
    NOW,
    SPOUSE,
    TELLER,
    World,
    bank_officer,
    by,
    citizen,
    ministry_officer,
    operator,
    registration,
    sign,
)

REQUEST_ID = str(uuid.UUID(int=7))


def field_of(status: status_pb2.Status) -> str:
    """The field that an item's error names."""
    for detail in status.details:
        bad = error_details_pb2.BadRequest()
        if detail.Unpack(bad):
            return str(bad.field_violations[0].field)
    return ""


async def batch(
    world: World, *requests: documents_pb2.RegisterDocumentRequest
) -> list[documents_pb2.RegisterDocumentResult]:
    response = await world.documents.BatchRegisterDocuments(
        documents_pb2.BatchRegisterDocumentsRequest(requests=requests), by(ministry_officer)
    )
    return list(response.results)


async def test_a_registered_document_says_all_that_was_asked_for(world: World) -> None:
    expire_time = NOW + timedelta(days=30)
    document = await world.register(content=b"%PDF", expire_time=expire_time)
    assert document.name.startswith("documents/")
    assert document.issuer == MINISTRY
    assert list(document.subjects) == [CITIZEN]
    assert document.document_type == ADDRESS
    assert document.content_sha256 == hashlib.sha256(b"%PDF").digest()
    assert document.size_bytes == 4
    assert document.state == documents_pb2.DOCUMENT_STATE_ACTIVE
    assert document.signatures[0].signer == CLERK
    assert document.create_time.ToDatetime(tzinfo=NOW.tzinfo) == NOW
    assert document.expire_time.ToDatetime(tzinfo=NOW.tzinfo) == expire_time
    assert document.log_index == 0


async def test_a_verification_code_has_sixteen_characters_in_fours(world: World) -> None:
    codes = {(await world.register()).verification_code for _ in range(3)}
    assert len(codes) == 3
    for code in codes:
        groups = code.split("-")
        assert [len(group) for group in groups] == [4, 4, 4, 4]
        assert all(group.isalnum() for group in groups)


async def test_what_is_registered_can_be_read_by_its_issuer(world: World) -> None:
    document = await world.register()
    again = await world.documents.GetDocument(
        documents_pb2.GetDocumentRequest(name=document.name), by(ministry_officer)
    )
    assert again == document


async def test_the_entry_names_nobody_and_gives_no_hash_away(world: World) -> None:
    document = await world.register(content=b"%PDF", subjects=[CITIZEN, SPOUSE])
    receipt = await world.documents.GetReceipt(
        documents_pb2.GetReceiptRequest(document=document.name), by(ministry_officer)
    )
    entry = parse_entry(receipt.entry)
    assert entry["v"] == 1
    assert entry["event"] == "registered"
    assert entry["time"] == "2026-11-23T12:00:00.000000Z"
    assert entry["document"] == document.name
    assert entry["issuer"] == MINISTRY
    assert entry["signatures"] == [hashlib.sha256(document.signatures[0].signature).hexdigest()]
    assert len(entry["subjects"]) == 2
    for secret in (CITIZEN, SPOUSE, hashlib.sha256(b"%PDF").hexdigest(), "Мекенжай"):
        assert secret.encode() not in receipt.entry


async def test_every_signature_of_a_batch_is_verified_in_one_call(world: World) -> None:
    world.verifier.batches.clear()
    results = await batch(
        world, *(registration(signers=[CLERK, MINISTRY, CITIZEN]) for _ in range(20))
    )
    assert all(result.HasField("document") for result in results)
    assert world.verifier.batches == [60]


async def test_a_batch_answers_in_order(world: World) -> None:
    requests = [registration(content=b"number %d" % number) for number in range(30)]
    results = await batch(world, *requests)
    assert [result.document.content_sha256 for result in results] == [
        hashlib.sha256(request.content).digest() for request in requests
    ]
    assert sorted(result.document.log_index for result in results) == list(range(30))


async def test_an_empty_batch_is_answered(world: World) -> None:
    assert await batch(world) == []


async def test_a_bad_item_costs_its_own_answer_only(world: World) -> None:
    spoiled = registration()
    spoiled.signatures[0].signature = b"spoiled"
    unknown = registration(subjects=["subjects/nobody"])
    foreign = registration(document_type="documentTypes/unknown")
    good = registration()
    results = await batch(world, spoiled, unknown, foreign, good)
    assert [field_of(result.error) for result in results[:3]] == [
        "signatures[0]",
        "document.subjects[0]",
        "document.document_type",
    ]
    assert results[3].HasField("document")


@pytest.mark.parametrize(
    ("field", "spoil"),
    [
        ("document", lambda r: r.ClearField("document")),
        ("content", lambda r: r.ClearField("content")),
        ("signatures", lambda r: r.ClearField("signatures")),
        ("signatures", lambda r: r.signatures.extend([r.signatures[0]] * 16)),
        ("signatures[0].certificate", lambda r: r.signatures[0].ClearField("certificate")),
        ("signatures[0].algorithm", lambda r: r.signatures[0].ClearField("algorithm")),
        ("signatures[0].signature", lambda r: r.signatures[0].ClearField("signature")),
        ("document.document_type", lambda r: r.document.ClearField("document_type")),
        ("document.document_type", lambda r: setattr(r.document, "document_type", "types/a")),
        ("document.subjects", lambda r: r.document.ClearField("subjects")),
        ("document.subjects[1]", lambda r: r.document.subjects.append(CITIZEN)),
        ("document.subjects[1]", lambda r: r.document.subjects.append("791028302728")),
        (
            "document.subjects",
            lambda r: r.document.subjects.extend(f"subjects/s{i}" for i in range(16)),
        ),
        ("document.media_type", lambda r: r.document.ClearField("media_type")),
        ("document.media_type", lambda r: setattr(r.document, "media_type", "pdf")),
        ("document.media_type", lambda r: setattr(r.document, "media_type", "a/b\r\nx: y")),
        ("document.title", lambda r: setattr(r.document, "title", "x" * 501)),
        ("document.title", lambda r: setattr(r.document, "title", "x\x00")),
        ("document.expire_time", lambda r: setattr(r.document.expire_time, "seconds", 1)),
        ("document.expire_time", lambda r: setattr(r.document.expire_time, "seconds", 10**18)),
        (
            "document.expire_time",
            lambda r: r.document.expire_time.FromJsonString("2030-01-01T00:00:00.5Z"),
        ),
        ("request_id", lambda r: setattr(r, "request_id", "seven")),
    ],
)
async def test_an_item_that_cannot_be_accepted_names_its_field(
    world: World, field: str, spoil: object
) -> None:
    request = registration()
    assert callable(spoil)
    spoil(request)
    (result,) = await batch(world, request)
    assert result.error.code == code_pb2.INVALID_ARGUMENT
    assert field_of(result.error) == field


async def test_contents_have_a_limit_each_and_together(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(document_requests, "CONTENT_LIMIT_BYTES", 10)
    (result,) = await batch(world, registration(content=b"12345678901"))
    assert field_of(result.error) == "content"
    monkeypatch.setattr("services.registry.documents.requests.BATCH_LIMIT_BYTES", 15)
    with pytest.raises(InvalidArgument, match="requests"):
        await batch(world, *(registration(content=b"1234567890") for _ in range(2)))
    with pytest.raises(InvalidArgument, match="requests"):
        await batch(world, *[documents_pb2.RegisterDocumentRequest()] * 1001)


async def test_a_signature_over_another_subject_is_refused(world: World) -> None:
    request = registration(subjects=[CITIZEN])
    request.document.subjects[0] = SPOUSE
    with pytest.raises(InvalidArgument, match=r"signatures\[0\]"):
        await world.documents.RegisterDocument(request, by(ministry_officer))


async def test_a_signature_over_another_type_is_refused(world: World) -> None:
    request = registration(document_type=ADDRESS)
    request.document.document_type = MARRIAGE
    with pytest.raises(InvalidArgument, match=r"signatures\[0\]"):
        await world.documents.RegisterDocument(request, by(ministry_officer))


async def test_a_revoked_certificate_names_its_signature(world: World) -> None:
    world.verifier.untrusted.add(CITIZEN)
    with pytest.raises(InvalidArgument, match=r"signatures\[1\].*revoked"):
        await world.register(signers=[CLERK, CITIZEN])


async def test_what_cannot_be_judged_now_is_neither_accepted_nor_invalid(world: World) -> None:
    world.verifier.doubts.add(CLERK)
    with pytest.raises(Unavailable):
        await world.register()
    (result,) = await batch(world, registration())
    assert result.error.code == code_pb2.UNAVAILABLE
    world.verifier.doubts.clear()
    world.verifier.is_down = True
    with pytest.raises(Unavailable):
        await world.register()
    world.verifier.is_down = False
    world.directory.is_down = True
    with pytest.raises(Unavailable):
        await world.register()


async def test_a_signature_by_the_issuers_seal_is_enough(world: World) -> None:
    document = await world.register(signers=[MINISTRY])
    assert document.signatures[0].signer == MINISTRY


@pytest.mark.parametrize("signers", [[CITIZEN], [TELLER], [CITIZEN, TELLER]])
async def test_none_of_the_issuers_signatures_is_not_enough(
    world: World, signers: list[str]
) -> None:
    with pytest.raises(InvalidArgument, match="signatures"):
        await world.register(signers=signers)


async def test_an_officer_who_left_signs_no_more(world: World) -> None:
    world.directory.officers.discard(Officer(MINISTRY, CLERK))
    with pytest.raises(InvalidArgument, match="signatures"):
        await world.register()


async def test_an_issuer_that_the_type_does_not_list_is_refused(world: World) -> None:
    with pytest.raises(PermissionDenied):
        await world.documents.RegisterDocument(registration(signers=[TELLER]), by(bank_officer))


async def test_the_same_statement_is_the_same_document(world: World) -> None:
    first = await world.register(content=b"once", title="One")
    second = await world.register(content=b"once", title="Two")
    assert second == first
    other = await world.register(content=b"once", subjects=[SPOUSE])
    assert other.name != first.name


async def test_the_same_statement_within_a_batch_is_the_same_document(world: World) -> None:
    results = await batch(world, *(registration(content=b"once") for _ in range(5)))
    assert len({result.document.name for result in results}) == 1


async def test_the_same_statement_at_the_same_time_is_the_same_document(world: World) -> None:
    found = await asyncio.gather(*(world.register(content=b"once") for _ in range(10)))
    assert len({document.name for document in found}) == 1
    assert len({document.log_index for document in found}) == 1


async def test_a_revoked_document_is_not_registered_anew(world: World) -> None:
    first = await world.register(content=b"once")
    await world.documents.RevokeDocument(
        documents_pb2.RevokeDocumentRequest(name=first.name, reason="mistaken"),
        by(ministry_officer),
    )
    again = await world.register(content=b"once")
    assert again.name == first.name
    assert again.state == documents_pb2.DOCUMENT_STATE_REVOKED


async def test_an_erased_document_can_be_registered_anew(world: World) -> None:
    first = await world.register(content=b"once")
    await world.documents.EraseDocument(
        documents_pb2.EraseDocumentRequest(name=first.name, citation="Law"), by(operator)
    )
    again = await world.register(content=b"once")
    assert again.name != first.name
    assert again.state == documents_pb2.DOCUMENT_STATE_ACTIVE


async def test_a_repeated_request_answers_with_the_first_ones_document(world: World) -> None:
    request = registration(request_id=REQUEST_ID)
    first = await world.documents.RegisterDocument(request, by(ministry_officer))
    # What happened since changes nothing: the request was answered.
    world.verifier.untrusted.add(CLERK)
    world.clock.advance(days=400)
    assert await world.documents.RegisterDocument(request, by(ministry_officer)) == first


async def test_a_request_id_in_capitals_is_the_same(world: World) -> None:
    request_id = "ABCDEF00-0000-4000-8000-000000000001"
    first = await world.register(content=b"once", request_id=request_id)
    again = await world.register(content=b"once", request_id=request_id.lower())
    assert again == first


async def test_a_request_id_serves_for_one_body(world: World) -> None:
    await world.register(content=b"one", request_id=REQUEST_ID)
    with pytest.raises(AlreadyExists, match="request_id"):
        await world.register(content=b"two", request_id=REQUEST_ID)


async def test_a_request_id_is_the_organizations_own(world: World) -> None:
    first = await world.register(content=b"one", request_id=REQUEST_ID)
    await world.documents.UpdateDocumentType(
        documents_pb2.UpdateDocumentTypeRequest(
            document_type=documents_pb2.DocumentType(
                name=ADDRESS, issuers=[MINISTRY, bank_officer.organization]
            )
        ),
        by(operator),
    )
    other = await world.documents.RegisterDocument(
        registration(content=b"two", request_id=REQUEST_ID, signers=[TELLER]), by(bank_officer)
    )
    assert other.name != first.name


async def test_request_ids_of_a_batch_are_each_its_own(world: World) -> None:
    one = registration(content=b"one", request_id=REQUEST_ID)
    two = registration(content=b"two", request_id=REQUEST_ID)
    results = await batch(world, one, two, one)
    assert results[0].document == results[2].document
    assert results[1].error.code == code_pb2.ALREADY_EXISTS


async def test_a_request_id_for_a_known_statement_is_kept_too(world: World) -> None:
    first = await world.register(content=b"one")
    again = await world.register(content=b"one", request_id=REQUEST_ID)
    assert again.name == first.name
    with pytest.raises(AlreadyExists):
        await world.register(content=b"two", request_id=REQUEST_ID)


async def test_a_request_id_of_an_erased_document_answers_with_it(world: World) -> None:
    request = registration(request_id=REQUEST_ID)
    first = await world.documents.RegisterDocument(request, by(ministry_officer))
    await world.documents.EraseDocument(
        documents_pb2.EraseDocumentRequest(name=first.name, citation="Law"), by(operator)
    )
    again = await world.documents.RegisterDocument(request, by(ministry_officer))
    assert again.name == first.name
    assert again.state == documents_pb2.DOCUMENT_STATE_ERASED


async def test_the_same_request_at_the_same_time_has_one_effect(world: World) -> None:
    request = registration(request_id=REQUEST_ID)
    found = await asyncio.gather(
        *(world.documents.RegisterDocument(request, by(ministry_officer)) for _ in range(10))
    )
    assert len({document.name for document in found}) == 1


async def test_what_is_output_only_is_not_taken_from_the_caller(world: World) -> None:
    request = registration()
    request.document.issuer = bank_officer.organization
    request.document.name = "documents/mine"
    request.document.verification_code = "AAAA-AAAA-AAAA-AAAA"
    request.signatures[0].signer = MINISTRY
    document = await world.documents.RegisterDocument(request, by(ministry_officer))
    assert document.issuer == MINISTRY
    assert document.name != "documents/mine"
    assert document.verification_code != "AAAA-AAAA-AAAA-AAAA"
    assert document.signatures[0].signer == CLERK


async def test_a_caller_without_an_organization_issues_nothing(world: World) -> None:
    # The access option refuses them earlier; the rule holds without it too.
    person = replace(citizen, organization="")
    with pytest.raises(PermissionDenied):
        await world.documents.RegisterDocument(registration(signers=[CITIZEN]), by(person))


def test_a_signature_is_made_for_one_statement_only() -> None:
    assert sign(b"one", CLERK).signature != sign(b"two", CLERK).signature
