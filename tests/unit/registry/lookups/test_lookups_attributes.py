"""Look-ups of single attributes: what is declared, and no more."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest

from qagazsyz.receipts import parse_entry
from qagazsyz.registry.v1 import consents_pb2, documents_pb2
from services.runtime.access import Caller
from services.runtime.errors import (
    InvalidArgument,
    PermissionDenied,
)
from tests.unit.registry.world import (
    ADDRESS,
    CITIZEN,
    PURPOSE,
    World,
    bank_officer,
    by,
    other_bank_officer,
)

TEXT = documents_pb2.ATTRIBUTE_KIND_TEXT
NUMBER = documents_pb2.ATTRIBUTE_KIND_NUMBER
BOOLEAN = documents_pb2.ATTRIBUTE_KIND_BOOLEAN
DATE = documents_pb2.ATTRIBUTE_KIND_DATE
REQUEST_ID = str(uuid.UUID(int=5))
SAID = {
    "registered": True,
    "since": "2019-05-01",
    "address": {"city": "Алматы", "rooms": 2.5, "lines": ["Абай даңғылы", "10"]},
    "iin": "791028302728",
}
DECLARED = [
    ("/registered", BOOLEAN, True),
    ("/since", DATE, True),
    ("/address/city", TEXT, False),
    ("/address/rooms", NUMBER, False),
    ("/address/lines/0", TEXT, False),
]


async def declare(world: World) -> None:
    await world.update_type(
        ADDRESS,
        attributes=[
            documents_pb2.Attribute(
                pointer=pointer, kind=kind, required=required, display_names={"en": "It"}
            )
            for pointer, kind, required in DECLARED
        ],
    )


def content(**changes: Any) -> bytes:
    return json.dumps({**SAID, **changes}, ensure_ascii=False).encode()


async def register(world: World, body: bytes | None = None) -> documents_pb2.Document:
    return await world.register(
        content=content() if body is None else body, media_type="application/json"
    )


async def look_up(
    world: World, *pointers: str, caller: Caller = bank_officer, request_id: str = ""
) -> documents_pb2.LookUpAttributeResponse:
    request = documents_pb2.LookUpAttributeRequest(
        subject=CITIZEN,
        document_type=ADDRESS,
        purpose=PURPOSE,
        attributes=pointers,
        request_id=request_id,
    )
    return await world.documents.LookUpAttribute(request, by(caller))


def value_of(value: documents_pb2.AttributeValue) -> object:
    which = value.WhichOneof("value")
    return None if which is None else getattr(value, which)


async def test_a_look_up_returns_the_attributes_asked_for_and_no_others(world: World) -> None:
    await declare(world)
    document = await register(world)
    await world.grant()
    found = await look_up(world, "/registered", "/since", "/address/rooms", "/address/lines/0")
    assert [value_of(value) for value in found.values] == [
        True,
        "2019-05-01",
        2.5,
        "Абай даңғылы",
    ]
    assert found.document == document.name
    assert found.document_create_time == document.create_time
    assert "791028302728" not in str(found)


async def test_the_newest_document_in_force_answers(world: World) -> None:
    await declare(world)
    await register(world)
    world.clock.move(days=1)
    newer = await register(world, content(since="2026-11-24"))
    world.clock.move(days=1)
    newest = await register(world, content(since="2026-11-25"))
    await world.revoke(newest.name)
    await world.grant()
    found = await look_up(world, "/since")
    assert value_of(found.values[0]) == "2026-11-24"
    assert found.document == newer.name


async def test_a_value_missing_in_the_document_is_unset(world: World) -> None:
    await declare(world)
    await register(world, content(address={}))
    await world.grant()
    found = await look_up(world, "/address/city", "/registered")
    assert [value_of(value) for value in found.values] == [None, True]
    assert [value.pointer for value in found.values] == ["/address/city", "/registered"]


async def test_a_document_that_is_no_json_has_no_values(world: World) -> None:
    await world.register()
    await declare(world)
    await world.grant()
    assert value_of((await look_up(world, "/since")).values[0]) is None


async def test_a_subject_without_documents_has_no_values(world: World) -> None:
    await declare(world)
    await world.grant()
    found = await look_up(world, "/since")
    assert not found.values
    assert not found.document
    assert [each.name for each in await world.accesses()] == [found.access]


async def test_the_record_names_the_attributes_and_opens_no_document(world: World) -> None:
    await declare(world)
    document = await register(world)
    consent = await world.grant()
    found = await look_up(world, "/registered", "/since")
    (access,) = await world.accesses()
    assert access.event == consents_pb2.ACCESS_EVENT_LOOKED_UP
    assert access.basis == consent.name
    assert list(access.attributes) == ["/registered", "/since"]
    assert list(access.documents) == [document.name]
    assert parse_entry(access.receipt.entry)["attributes"] == ["/registered", "/since"]
    for method in (world.get, world.download):
        with pytest.raises(PermissionDenied):
            await method(document.name, bank_officer, found.access)


async def test_a_look_up_of_attributes_needs_consent(world: World) -> None:
    await declare(world)
    await register(world)
    consent = await world.grant()
    with pytest.raises(PermissionDenied):
        await look_up(world, "/since", caller=other_bank_officer)
    await look_up(world, "/since")
    await world.withdraw(consent.name)
    with pytest.raises(PermissionDenied):
        await look_up(world, "/since")
    events = [access.event for access in await world.accesses()]
    assert events.count(consents_pb2.ACCESS_EVENT_REFUSED) == 2


async def test_a_repeat_leaves_no_second_record(world: World) -> None:
    await declare(world)
    await register(world)
    await world.grant()
    first = await look_up(world, "/since", request_id=REQUEST_ID)
    world.clock.move(minutes=1)
    await register(world, content(since="2026-11-25"))
    assert await look_up(world, "/since", request_id=REQUEST_ID) == first
    assert len(await world.accesses()) == 1


async def test_a_content_that_contradicts_the_declaration_is_not_registered(world: World) -> None:
    await declare(world)
    with pytest.raises(InvalidArgument, match="content"):
        await register(world, content(since="yesterday"))
    with pytest.raises(InvalidArgument, match="media_type"):
        await world.register(content=content(), media_type="text/plain")


@pytest.mark.parametrize("kind", [0, 99])
async def test_an_attribute_of_an_unknown_kind_is_not_declared(world: World, kind: int) -> None:
    declared: Any = documents_pb2.Attribute(pointer="/a")
    declared.kind = kind
    with pytest.raises(InvalidArgument, match=r"document_type.attributes\[0\].kind"):
        await world.update_type(ADDRESS, attributes=[declared])
