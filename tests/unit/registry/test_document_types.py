"""Document types: made and changed by operators, read by everybody."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from qagazsyz.registry.v1 import documents_pb2
from services.runtime.errors import Aborted, AlreadyExists, InvalidArgument, NotFound
from tests.unit.registry.world import (
    ADDRESS,
    CITIZEN,
    FIRST_BANK,
    LAW,
    MARRIAGE,
    MINISTRY,
    NOW,
    PURPOSE,
    World,
    by,
    operator,
)


def basis(**changes: str) -> documents_pb2.LegalBasis:
    return documents_pb2.LegalBasis(
        **{"organization": FIRST_BANK, "purpose": PURPOSE, "citation": LAW, **changes}
    )


async def create(world: World, id_: str = "diploma", **members: Any) -> documents_pb2.DocumentType:
    found = await world.documents.CreateDocumentType(
        documents_pb2.CreateDocumentTypeRequest(
            document_type=documents_pb2.DocumentType(**members), document_type_id=id_
        ),
        by(operator),
    )
    assert isinstance(found, documents_pb2.DocumentType)
    return found


async def update(
    world: World, *paths: str, name: str = "documentTypes/diploma", **members: Any
) -> documents_pb2.DocumentType:
    found = await world.documents.UpdateDocumentType(
        documents_pb2.UpdateDocumentTypeRequest(
            document_type=documents_pb2.DocumentType(name=name, **members),
            update_mask=FieldMask(paths=paths),
        ),
        by(operator),
    )
    assert isinstance(found, documents_pb2.DocumentType)
    return found


async def get(world: World, name: str) -> documents_pb2.DocumentType:
    found = await world.documents.GetDocumentType(
        documents_pb2.GetDocumentTypeRequest(name=name), by(None)
    )
    assert isinstance(found, documents_pb2.DocumentType)
    return found


async def test_a_type_is_read_as_it_was_made(world: World) -> None:
    law = basis()
    law.expire_time.FromDatetime(NOW)
    made = await create(
        world,
        display_names={"kk": "Диплом", "en": "Diploma"},
        issuers=[MINISTRY],
        legal_bases=[law],
    )
    assert made.name == "documentTypes/diploma"
    assert made.etag
    assert made.legal_bases[0] == law
    assert await get(world, made.name) == made


async def test_a_type_is_made_once(world: World) -> None:
    await create(world)
    with pytest.raises(AlreadyExists, match="document_type_id"):
        await create(world)


@pytest.mark.parametrize("id_", ["", "Diploma", "1st", "a b", "-a", "a-", "x" * 64, "дип"])
async def test_an_id_that_can_be_none_is_told(world: World, id_: str) -> None:
    with pytest.raises(InvalidArgument, match="document_type_id"):
        await create(world, id_)


@pytest.mark.parametrize(
    ("field", "members"),
    [
        (r"issuers\[0\]", {"issuers": ["subjects/nobody"]}),
        (r"issuers\[0\]", {"issuers": [CITIZEN]}),
        (r"issuers\[0\]", {"issuers": ["ministry"]}),
        (r"issuers\[1\]", {"issuers": [MINISTRY, MINISTRY]}),
        (r"legal_bases\[0\].organization", {"legal_bases": [basis(organization="")]}),
        (r"legal_bases\[0\].organization", {"legal_bases": [basis(organization=CITIZEN)]}),
        (r"legal_bases\[0\].purpose", {"legal_bases": [basis(purpose="Any")]}),
        (r"legal_bases\[0\].citation", {"legal_bases": [basis(citation=" ")]}),
        (r"legal_bases\[0\].citation", {"legal_bases": [basis(citation="issuer")]}),
        (r"legal_bases\[0\].citation", {"legal_bases": [basis(citation="consents/1")]}),
        ("display_names", {"display_names": {"kazakh language": "Диплом"}}),
        ("display_names", {"display_names": {"kk": ""}}),
    ],
)
async def test_what_a_type_cannot_hold_names_its_field(
    world: World, field: str, members: dict[str, Any]
) -> None:
    with pytest.raises(InvalidArgument, match=f"document_type.{field}"):
        await create(world, **members)


async def test_an_update_changes_what_its_mask_names(world: World) -> None:
    made = await create(world, display_names={"en": "Diploma"}, issuers=[MINISTRY])
    changed = await update(world, "issuers", issuers=[], display_names={"en": "Other"})
    assert not changed.issuers
    assert changed.display_names == {"en": "Diploma"}
    assert changed.etag != made.etag
    assert await get(world, made.name) == changed


async def test_an_update_without_a_mask_changes_what_is_set(world: World) -> None:
    await create(world, display_names={"en": "Diploma"}, issuers=[MINISTRY])
    changed = await update(world, legal_bases=[basis()])
    assert list(changed.issuers) == [MINISTRY]
    assert changed.display_names == {"en": "Diploma"}
    assert len(changed.legal_bases) == 1


async def test_an_update_of_everything_clears_what_is_not_set(world: World) -> None:
    await create(world, display_names={"en": "Diploma"}, issuers=[MINISTRY])
    changed = await update(world, "*", legal_bases=[basis()])
    assert not changed.issuers
    assert not changed.display_names


async def test_an_update_of_something_else_is_told(world: World) -> None:
    await create(world)
    for path in ("name", "etag", "nothing"):
        with pytest.raises(InvalidArgument, match="update_mask"):
            await update(world, path)


async def test_an_update_of_an_older_etag_is_refused(world: World) -> None:
    made = await create(world, issuers=[MINISTRY])
    changed = await update(world, "issuers", etag=made.etag, issuers=[FIRST_BANK])
    with pytest.raises(Aborted):
        await update(world, "issuers", etag=made.etag, issuers=[])
    assert await get(world, made.name) == changed


async def test_what_does_not_exist_is_not_found(world: World) -> None:
    with pytest.raises(NotFound):
        await get(world, "documentTypes/nothing")
    with pytest.raises(NotFound):
        await update(world, name="documentTypes/nothing")


async def test_types_are_listed_in_pages(world: World) -> None:
    await create(world)
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
