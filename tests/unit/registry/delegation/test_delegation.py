"""What a request gets on its applicant's behalf, and what stays in the records and in the log."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest

from qagazsyz.registry.v1 import delegated_pb2
from qagazsyz.request_texts import Evidence
from services.registry.audit.record_audit import check_records
from services.registry.audit.source import all_records
from services.runtime.errors import AlreadyExists, InvalidArgument, PermissionDenied
from tests.unit.registry.delegation.builders import (
    OUTPUT,
    REQUEST,
    SERVICE,
    append,
    delegation,
    end_mandates,
    issue,
    look_up,
    mandate,
    prepare,
    statement,
)
from tests.unit.registry.world import (
    ADDRESS,
    CITIZEN,
    MINISTRY,
    World,
    auditor,
    by,
    citizen,
    ministry_officer,
    spouse,
    verified,
)


@pytest.fixture
async def prepared(world: World) -> AsyncIterator[World]:
    await prepare(world)
    yield world


async def test_evidence_is_looked_up_for_the_provider_on_the_request(prepared: World) -> None:
    found = await look_up(prepared)
    assert [each.pointer for each in found.values] == ["/city", "/rooms"]
    assert (found.values[0].text, found.values[1].number) == ("Almaty", 2)
    (access,) = await prepared.accesses()
    assert access.name == found.access
    assert access.organization == access.officer == MINISTRY
    assert (access.basis, access.reason) == (REQUEST, SERVICE)
    receipt = verified(access.receipt)
    assert receipt.entry["basis"] == "request"
    assert receipt.openings["request"] == REQUEST.encode()
    assert REQUEST not in json.dumps(dict(receipt.entry))


async def test_whole_documents_are_found_and_read_by_the_providers_officers(
    prepared: World,
) -> None:
    document = await prepared.register()
    whole = Evidence(document_type=ADDRESS, purpose="address-certificate")
    signed_texts = delegation(mandate(evidence=(whole,)), statement(evidence=(whole,)))
    found = await look_up(prepared, signed_texts)
    assert [each.name for each in found.documents] == [document.name]
    assert not found.values
    assert await prepared.get(document.name, ministry_officer, found.access)


async def test_nothing_found_is_recorded_too(prepared: World) -> None:
    whole = Evidence(document_type=ADDRESS, purpose="address-certificate")
    signed_texts = delegation(mandate(evidence=(whole,)), statement(evidence=(whole,)))
    found = await look_up(prepared, signed_texts)
    assert found.access
    assert not found.documents


async def test_an_output_says_what_was_found_and_is_the_providers(prepared: World) -> None:
    await look_up(prepared)
    document = await issue(prepared, language="kk")
    assert (document.issuer, list(document.subjects)) == (MINISTRY, [CITIZEN])
    assert (document.document_type, document.title) == (OUTPUT, "Мекенжай анықтамасы")
    assert [each.signer for each in document.signatures] == [MINISTRY]
    assert json.loads(await prepared.download(document.name, citizen)) == {
        "city": "Almaty",
        "name": "Serik",
        "request": REQUEST,
        "date": "2026-11-23",
        "rooms": 2,
    }
    assert await prepared.check(verification_code=document.verification_code)
    assert await issue(prepared) == document


async def test_the_date_is_the_day_in_almaty(prepared: World) -> None:
    prepared.clock.now = prepared.clock.now.replace(hour=19)
    await look_up(prepared)
    document = await issue(prepared)
    assert json.loads(await prepared.download(document.name, citizen))["date"] == "2026-11-24"


async def test_changes_follow_each_other_and_are_in_the_log_by_commitments(
    prepared: World,
) -> None:
    await append(prepared, "draft", 1)
    second = await append(prepared, "submitted", 2, delegation())
    third = await append(prepared, "issued", 3)
    receipt = verified(third.receipt)
    assert receipt.entry["event"] == "requested"
    assert receipt.openings == {
        "request": REQUEST.encode(),
        "public_service": SERVICE.encode(),
        "change": b'{"state":"issued"}',
    }
    # A repeat is the same entry, another change of the number is refused, and so is a gap.
    assert (await append(prepared, "submitted", 2)).receipt.log_index == second.receipt.log_index
    with pytest.raises(AlreadyExists):
        await append(prepared, "refused", 3)
    with pytest.raises(InvalidArgument):
        await append(prepared, "refused", 5)


async def test_a_change_that_is_no_canonical_object_with_a_state_is_refused(
    prepared: World,
) -> None:
    for change in (
        b"",
        b"{}",
        b"[]",
        b'{"state": "draft"}',
        b'{"state":1}',
        b'{"state":"Draft"}',
        b"x" * 5_000,
    ):
        with pytest.raises(InvalidArgument):
            await append(prepared, "draft", 1, change=change)


async def events(world: World, caller: object, subject: str = "") -> list[str]:
    request = delegated_pb2.ListRequestEventsRequest(subject=subject)
    response = await world.registry.mandates.ListRequestEvents(request, by(caller))  # type: ignore[arg-type]
    for each in response.events:
        assert verified(each.receipt).openings["change"] == each.change
    return [json.loads(each.change)["state"] for each in response.events]


async def test_applicants_list_their_own_changes_and_auditors_all(prepared: World) -> None:
    await append(prepared, "draft", 1)
    await append(prepared, "submitted", 2, delegation())
    assert await events(prepared, citizen) == ["submitted", "draft"]
    assert await events(prepared, auditor) == ["submitted", "draft"]
    assert await events(prepared, spouse) == []
    with pytest.raises(PermissionDenied):
        await events(prepared, spouse, CITIZEN)


async def test_the_audit_makes_every_entry_again(prepared: World) -> None:
    await look_up(prepared)
    await issue(prepared)
    await append(prepared, "submitted", 1, delegation())
    await append(prepared, "issued", 2)
    await end_mandates(prepared, ministry_officer)
    async with prepared.database.snapshot() as connection:
        assert await check_records(connection, 9, all_records) == []
