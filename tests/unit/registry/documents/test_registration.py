"""Registering documents: what they become, and what is the same document."""

from __future__ import annotations

import asyncio
import hashlib
import uuid
from dataclasses import replace
from datetime import timedelta

import pytest
from google.rpc import code_pb2

from qagazsyz.receipts import parse_entry
from qagazsyz.registry.v1 import documents_pb2
from services.runtime.errors import (
    AlreadyExists,
    PermissionDenied,
)
from tests.unit.registry.ledger import NOW
from tests.unit.registry.world import (
    ADDRESS,
    CITIZEN,
    CLERK,
    FIRST_BANK,
    MINISTRY,
    SPOUSE,
    TELLER,
    World,
    bank_officer,
    by,
    citizen,
    field_of,
    ministry_officer,
    registration,
)

REQUEST_ID = str(uuid.UUID(int=7))


async def test_a_registered_document_has_every_field_asked_for(world: World) -> None:
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
    # Behind the entries of the world's two types.
    assert document.log_index == 2


async def test_a_verification_code_has_sixteen_characters_in_fours(world: World) -> None:
    codes = {(await world.register()).verification_code for _ in range(3)}
    assert len(codes) == 3
    for code in codes:
        groups = code.split("-")
        assert [len(group) for group in groups] == [4, 4, 4, 4]
        assert all(group.isalnum() for group in groups)


async def test_the_entry_reveals_no_subject_and_no_hash(world: World) -> None:
    document = await world.register(content=b"%PDF", subjects=[CITIZEN, SPOUSE])
    receipt = await world.documents.GetReceipt(
        documents_pb2.GetReceiptRequest(document=document.name), by(ministry_officer)
    )
    entry = parse_entry(receipt.entry)
    assert entry["v"] == 2
    assert entry["event"] == "registered"
    assert entry["time"] == "2026-11-23T12:00:00.000000Z"
    assert entry["document"] == document.name
    assert entry["issuer"] == MINISTRY
    assert entry["signatures"] == [hashlib.sha256(document.signatures[0].signature).hexdigest()]
    assert len(entry["subjects"]) == 2
    for secret in (CITIZEN, SPOUSE, hashlib.sha256(b"%PDF").hexdigest(), "Мекенжай"):
        assert secret.encode() not in receipt.entry


async def test_a_batch_answers_in_order(world: World) -> None:
    requests = [registration(content=b"number %d" % number) for number in range(30)]
    results = await world.register_batch(*requests)
    assert [result.document.content_sha256 for result in results] == [
        hashlib.sha256(request.content).digest() for request in requests
    ]
    assert sorted(result.document.log_index for result in results) == list(range(2, 32))


async def test_an_empty_batch_is_answered(world: World) -> None:
    assert await world.register_batch() == []


async def test_a_bad_item_costs_its_own_answer_only(world: World) -> None:
    spoiled = registration()
    spoiled.signatures[0].signature = b"spoiled"
    unknown = registration(subjects=["subjects/nobody"])
    foreign = registration(document_type="documentTypes/unknown")
    good = registration()
    results = await world.register_batch(spoiled, unknown, foreign, good)
    assert [field_of(result.error) for result in results[:3]] == [
        "signatures[0]",
        "document.subjects[0]",
        "document.document_type",
    ]
    assert results[3].HasField("document")


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
    results = await world.register_batch(*(registration(content=b"once") for _ in range(5)))
    assert len({result.document.name for result in results}) == 1


async def test_the_same_statement_at_the_same_time_is_the_same_document(world: World) -> None:
    found = await asyncio.gather(*(world.register(content=b"once") for _ in range(10)))
    assert len({document.name for document in found}) == 1
    assert len({document.log_index for document in found}) == 1


async def test_a_revoked_document_is_not_registered_anew(world: World) -> None:
    first = await world.register(content=b"once")
    await world.revoke(first.name)
    again = await world.register(content=b"once")
    assert again.name == first.name
    assert again.state == documents_pb2.DOCUMENT_STATE_REVOKED


async def test_an_erased_document_can_be_registered_anew(world: World) -> None:
    first = await world.register(content=b"once")
    await world.erase(first.name)
    again = await world.register(content=b"once")
    assert again.name != first.name
    assert again.state == documents_pb2.DOCUMENT_STATE_ACTIVE


async def test_a_repeated_request_answers_with_the_first_ones_document(world: World) -> None:
    request = registration(request_id=REQUEST_ID)
    first = await world.documents.RegisterDocument(request, by(ministry_officer))
    # What happened since changes nothing: the request was answered.
    world.verifier.untrusted.add(CLERK)
    world.clock.move(days=400)
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
    await world.update_type(ADDRESS, issuers=[MINISTRY, bank_officer.organization])
    other = await world.documents.RegisterDocument(
        registration(content=b"two", request_id=REQUEST_ID, signers=[TELLER], issuer=FIRST_BANK),
        by(bank_officer),
    )
    assert other.name != first.name


async def test_request_ids_of_a_batch_are_each_its_own(world: World) -> None:
    one = registration(content=b"one", request_id=REQUEST_ID)
    two = registration(content=b"two", request_id=REQUEST_ID)
    results = await world.register_batch(one, two, one)
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
    await world.erase(first.name)
    again = await world.documents.RegisterDocument(request, by(ministry_officer))
    assert again.name == first.name
    assert again.state == documents_pb2.DOCUMENT_STATE_ERASED


async def test_the_same_request_at_the_same_time_has_one_effect(world: World) -> None:
    request = registration(request_id=REQUEST_ID)
    found = await asyncio.gather(
        *(world.documents.RegisterDocument(request, by(ministry_officer)) for _ in range(10))
    )
    assert len({document.name for document in found}) == 1


async def test_output_only_fields_of_the_request_are_ignored(world: World) -> None:
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
