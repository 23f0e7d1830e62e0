"""Single attributes of structured documents: declared, checked, looked up."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest

from qagazsyz.receipts import parse_entry
from qagazsyz.registry.v1 import consents_pb2, documents_pb2
from services.registry.model import attributes
from services.registry.model.attributes import Attribute, AttributeKind
from services.runtime.access import Caller
from services.runtime.errors import InvalidArgument, PermissionDenied
from tests.unit.registry.world import (
    ADDRESS,
    CITIZEN,
    PURPOSE,
    World,
    bank_officer,
    by,
    citizen,
    ministry_officer,
    operator,
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


async def declare(world: World, declared: Any = DECLARED) -> None:
    await world.documents.UpdateDocumentType(
        documents_pb2.UpdateDocumentTypeRequest(
            document_type=documents_pb2.DocumentType(
                name=ADDRESS,
                attributes=[
                    documents_pb2.Attribute(
                        pointer=pointer, kind=kind, required=required, display_names={"en": "It"}
                    )
                    for pointer, kind, required in declared
                ],
            )
        ),
        by(operator),
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
    response = await world.documents.LookUpAttribute(
        documents_pb2.LookUpAttributeRequest(
            subject=CITIZEN,
            document_type=ADDRESS,
            purpose=PURPOSE,
            attributes=pointers,
            request_id=request_id,
        ),
        by(caller),
    )
    assert isinstance(response, documents_pb2.LookUpAttributeResponse)
    return response


def value_of(value: documents_pb2.AttributeValue) -> object:
    which = value.WhichOneof("value")
    return None if which is None else getattr(value, which)


async def test_one_learns_what_was_asked_for_and_no_more(world: World) -> None:
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
    world.clock.advance(days=1)
    newer = await register(world, content(since="2026-11-24"))
    world.clock.advance(days=1)
    newest = await register(world, content(since="2026-11-25"))
    await world.documents.RevokeDocument(
        documents_pb2.RevokeDocumentRequest(name=newest.name, reason="mistaken"),
        by(ministry_officer),
    )
    await world.grant()
    found = await look_up(world, "/since")
    assert value_of(found.values[0]) == "2026-11-24"
    assert found.document == newer.name


async def test_what_the_document_does_not_say_is_unset(world: World) -> None:
    await declare(world)
    await register(world, content(address={}))
    await world.grant()
    found = await look_up(world, "/address/city", "/registered")
    assert [value_of(value) for value in found.values] == [None, True]
    assert [value.pointer for value in found.values] == ["/address/city", "/registered"]


async def test_a_document_older_than_the_declaration_says_nothing(world: World) -> None:
    await world.register()
    await declare(world)
    await world.grant()
    assert value_of((await look_up(world, "/since")).values[0]) is None


async def test_where_there_is_no_document_there_is_no_value(world: World) -> None:
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
    for method, request in (
        (world.documents.GetDocument, documents_pb2.GetDocumentRequest),
        (world.documents.DownloadDocument, documents_pb2.DownloadDocumentRequest),
    ):
        with pytest.raises(PermissionDenied):
            await method(request(name=document.name, access=found.access), by(bank_officer))


async def test_it_needs_consent_as_a_whole_document_does(world: World) -> None:
    await declare(world)
    await register(world)
    consent = await world.grant()
    with pytest.raises(PermissionDenied):
        await look_up(world, "/since", caller=other_bank_officer)
    await look_up(world, "/since")
    await world.consents.WithdrawConsent(
        consents_pb2.WithdrawConsentRequest(name=consent.name), by(citizen)
    )
    with pytest.raises(PermissionDenied):
        await look_up(world, "/since")
    assert len([a for a in await world.accesses() if a.event == 2]) == 2


async def test_a_repeat_leaves_no_second_record(world: World) -> None:
    await declare(world)
    await register(world)
    await world.grant()
    first = await look_up(world, "/since", request_id=REQUEST_ID)
    world.clock.advance(minutes=1)
    await register(world, content(since="2026-11-25"))
    assert await look_up(world, "/since", request_id=REQUEST_ID) == first
    assert len(await world.accesses()) == 1


@pytest.mark.parametrize("pointers", [["/iin"], ["/since", "/since"], ["since"], ["/since"] * 17])
async def test_what_is_not_declared_cannot_be_asked_for(world: World, pointers: list[str]) -> None:
    await declare(world)
    await world.grant()
    with pytest.raises(InvalidArgument, match="attributes"):
        await look_up(world, *pointers)
    assert await world.accesses() == []


@pytest.mark.parametrize(
    "body",
    [
        b"%PDF",
        b"[]",
        b'{"registered": true, "since": "2019-05-01"',
        content(since="yesterday"),
        content(since="2019-5-1"),
        content(registered="yes"),
        content(address={"rooms": True}),
        content(address={"rooms": "two"}),
        b'{"registered": true}',
        b'{"registered": true, "registered": false, "since": "2019-05-01"}',
        b'{"registered": true, "since": "2019-05-01", "address": {"rooms": NaN}}',
        b'{"registered": true, "since": "2019-05-01", "address": {"rooms": 1e999}}',
        b'{"registered": true, "since": "2019-05-01", "a": ' + b"[" * 5000 + b"]" * 5000 + b"}",
        b'{"registered": true, "since": "2019-05-01", "a": "\xff"}',
    ],
)
async def test_a_content_that_says_otherwise_is_refused(world: World, body: bytes) -> None:
    await declare(world)
    with pytest.raises(InvalidArgument, match="content"):
        await register(world, body)


async def test_a_structured_document_is_json_of_a_modest_size(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await declare(world)
    with pytest.raises(InvalidArgument, match="media_type"):
        await world.register(content=content(), media_type="text/plain")
    monkeypatch.setattr(attributes, "CONTENT_LIMIT_BYTES", 20)
    with pytest.raises(InvalidArgument, match="content"):
        await register(world)


@pytest.mark.parametrize(
    ("field", "declared"),
    [
        (r"attributes\[0\].pointer", [("since", DATE, True)]),
        (r"attributes\[0\].pointer", [("", DATE, True)]),
        (r"attributes\[0\].pointer", [("/a~2", DATE, True)]),
        (r"attributes\[1\].pointer", [("/a", DATE, True), ("/a", TEXT, True)]),
        (r"attributes\[0\].kind", [("/a", 0, True)]),
        (r"attributes\[0\].kind", [("/a", 99, True)]),
        ("attributes", [(f"/{number}", TEXT, False) for number in range(101)]),
    ],
)
async def test_what_can_be_no_attribute_names_its_field(
    world: World, field: str, declared: Any
) -> None:
    with pytest.raises(InvalidArgument, match=f"document_type.{field}"):
        await declare(world, declared)


@pytest.mark.parametrize(
    ("pointer", "value"),
    [
        ("/a~1b", "slash"),
        ("/m~0n", "tilde"),
        ("/", "empty"),
        ("/list/1", "second"),
        ("/list/01", None),
        ("/list/-", None),
        ("/list/2", None),
        ("/list/" + "9" * 5000, None),
        ("/list/¹", None),
        ("/a~1b/c", None),
    ],
)
def test_pointers_are_read_as_rfc_6901_says(pointer: str, value: str | None) -> None:
    said = {"a/b": "slash", "m~n": "tilde", "": "empty", "list": ["first", "second"]}
    assert attributes.value_at(said, Attribute(pointer, AttributeKind.TEXT, False, {})) == value
