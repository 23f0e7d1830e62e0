"""Document types: created and changed by operators."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from qagazsyz.registry.v1 import documents_pb2
from services.runtime.errors import (
    Aborted,
    AlreadyExists,
    InvalidArgument,
    NotFound,
)
from tests.unit.registry.ledger import NOW
from tests.unit.registry.log.reader import entries_of
from tests.unit.registry.world import (
    ADDRESS,
    CITIZEN,
    FIRST_BANK,
    LAW,
    MINISTRY,
    PURPOSE,
    World,
    opened_world,
)

DIPLOMA = "documentTypes/diploma"


def basis(**changes: Any) -> documents_pb2.LegalBasis:
    members: dict[str, Any] = {"organization": FIRST_BANK, "purpose": PURPOSE, "citation": LAW}
    return documents_pb2.LegalBasis(**{**members, **changes})


async def test_a_type_is_read_as_it_was_made(world: World) -> None:
    law = basis()
    law.expire_time.FromDatetime(NOW)
    made = await world.create_type(
        "diploma",
        display_names={"kk": "Диплом", "en": "Diploma"},
        issuers=[MINISTRY],
        legal_bases=[law],
    )
    assert made.name == "documentTypes/diploma"
    assert made.etag
    assert made.legal_bases[0] == law
    assert await world.get_type(made.name) == made


async def test_a_type_is_made_once(world: World) -> None:
    await world.create_type("diploma")
    with pytest.raises(AlreadyExists, match="document_type_id"):
        await world.create_type("diploma")


@pytest.mark.parametrize("id_", ["", "Diploma"])
async def test_a_malformed_id_is_told(world: World, id_: str) -> None:
    with pytest.raises(InvalidArgument, match="document_type_id"):
        await world.create_type(id_)


@pytest.mark.parametrize(
    ("field", "members"),
    [
        (r"issuers\[0\]", {"issuers": ["subjects/nobody"]}),
        (r"issuers\[0\]", {"issuers": [CITIZEN]}),
        (r"issuers\[0\]", {"issuers": ["ministry"]}),
        (r"legal_bases\[0\].organization", {"legal_bases": [basis(organization=CITIZEN)]}),
        (r"legal_bases\[0\].citation", {"legal_bases": [basis(citation=" ")]}),
        ("display_names", {"display_names": {"kazakh language": "Диплом"}}),
    ],
)
async def test_an_unknown_organization_or_invalid_member_names_its_field(
    world: World, field: str, members: dict[str, Any]
) -> None:
    with pytest.raises(InvalidArgument, match=f"document_type.{field}"):
        await world.create_type("diploma", **members)


async def test_an_update_changes_the_fields_of_its_mask(world: World) -> None:
    made = await world.create_type("diploma", display_names={"en": "Diploma"}, issuers=[MINISTRY])
    changed = await world.update_type(DIPLOMA, "issuers", issuers=[], display_names={"en": "Other"})
    assert not changed.issuers
    assert changed.display_names == {"en": "Diploma"}
    assert changed.etag != made.etag
    assert await world.get_type(made.name) == changed


async def test_an_update_without_a_mask_changes_the_fields_that_are_set(world: World) -> None:
    await world.create_type("diploma", display_names={"en": "Diploma"}, issuers=[MINISTRY])
    changed = await world.update_type(DIPLOMA, legal_bases=[basis()])
    assert list(changed.issuers) == [MINISTRY]
    assert changed.display_names == {"en": "Diploma"}
    assert len(changed.legal_bases) == 1


async def test_an_update_of_all_fields_clears_those_unset(world: World) -> None:
    await world.create_type("diploma", display_names={"en": "Diploma"}, issuers=[MINISTRY])
    changed = await world.update_type(DIPLOMA, "*", legal_bases=[basis()])
    assert not changed.issuers
    assert not changed.display_names


async def test_an_update_of_another_field_is_told(world: World) -> None:
    await world.create_type("diploma")
    for path in ("name", "etag", "nothing"):
        with pytest.raises(InvalidArgument, match="update_mask"):
            await world.update_type(DIPLOMA, path)


async def test_an_update_of_an_older_etag_is_refused(world: World) -> None:
    made = await world.create_type("diploma", issuers=[MINISTRY])
    changed = await world.update_type(DIPLOMA, "issuers", etag=made.etag, issuers=[FIRST_BANK])
    with pytest.raises(Aborted):
        await world.update_type(DIPLOMA, "issuers", etag=made.etag, issuers=[])
    assert await world.get_type(made.name) == changed


async def test_an_unknown_type_is_not_found(world: World) -> None:
    with pytest.raises(NotFound):
        await world.get_type("documentTypes/nothing")
    with pytest.raises(NotFound):
        await world.update_type("documentTypes/nothing")


async def test_each_creation_and_change_of_a_type_has_an_entry(world: World) -> None:
    made = await world.create_type("diploma", issuers=[MINISTRY])
    await world.update_type(made.name, "legal_bases", legal_bases=[basis()])
    created, updated = [
        entry for entry in await entries_of(world.database) if entry.get("document_type") == DIPLOMA
    ]
    assert created["event"] == updated["event"] == "type_changed"
    assert (created["issuers"], created["legal_bases"]) == ([MINISTRY], [])
    assert updated["legal_bases"] == [
        {"organization": FIRST_BANK, "purpose": PURPOSE, "citation": LAW}
    ]
    assert created["type_sha256"] != updated["type_sha256"]


async def test_a_refused_change_leaves_no_entry(world: World) -> None:
    before = await entries_of(world.database)
    with pytest.raises(AlreadyExists):
        await world.create_type(ADDRESS.removeprefix("documentTypes/"))
    with pytest.raises(Aborted):
        await world.update_type(ADDRESS, "issuers", issuers=[MINISTRY], etag="another")
    assert await entries_of(world.database) == before


async def test_a_type_that_no_entry_can_hold_is_refused(world: World) -> None:
    laws = [basis(citation=f"{number} " + "§" * 490) for number in range(100)]
    with pytest.raises(InvalidArgument, match="legal_bases"):
        await world.create_type("diploma", issuers=[MINISTRY], legal_bases=laws)
    with pytest.raises(NotFound):
        await world.get_type(DIPLOMA)


async def test_a_replica_held_at_version_1_logs_no_type(database_url: str, tmp_path: Path) -> None:
    async with opened_world(database_url, tmp_path, entry_version=1) as world:
        made = await world.create_type("diploma", issuers=[MINISTRY])
        assert await world.get_type(made.name) == made
        assert await entries_of(world.database) == []
