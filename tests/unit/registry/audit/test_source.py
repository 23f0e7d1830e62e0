"""The audit makes every record anew as the service stored it, and sees every change of a row."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from services.registry.audit.audit import audit
from services.registry.audit.source import all_records
from services.registry.model import log_entries
from services.registry.model.statements import StatementVersion
from services.runtime.errors import (
    PermissionDenied,
)
from tests.unit.registry.ledger import NOW, log_key
from tests.unit.registry.world import (
    ADDRESS,
    CITIZEN,
    SPOUSE,
    World,
    ministry_officer,
    opened_world,
)


@pytest.mark.parametrize("entry_version", [1, 2])
async def test_the_audit_finds_every_event_as_it_is_stored(
    database_url: str, tmp_path: Path, entry_version: int
) -> None:
    async with opened_world(database_url, tmp_path, entry_version=entry_version) as world:
        await everything_that_leaves_an_entry(world)
        assert await audited(world) == []


async def test_the_audit_reads_a_log_of_both_versions(database_url: str, tmp_path: Path) -> None:
    async with opened_world(database_url, tmp_path, entry_version=1) as world:
        await everything_that_leaves_an_entry(world)
    async with opened_world(database_url, tmp_path, entry_version=2) as world:
        await everything_that_leaves_an_entry(world)
        await world.update_type(ADDRESS, "display_names", display_names={"en": "Address"})
        assert await audited(world) == []


async def everything_that_leaves_an_entry(world: World) -> None:
    document = await world.register(subjects=[CITIZEN, SPOUSE], expire_time=NOW + timedelta(days=1))
    await world.register()
    await world.download(document.name, ministry_officer)
    consent = await world.grant()
    await world.look_up()
    await world.withdraw(consent.name)
    with pytest.raises(PermissionDenied):
        await world.look_up()
    await world.revoke(document.name)
    await world.erase(document.name)


async def test_the_audit_reads_statements_of_both_versions(world: World) -> None:
    for version in StatementVersion:
        await world.register(version=version)
    assert await audited(world) == []


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
        "UPDATE accesses SET entry_salt = NULL",
        "UPDATE accesses SET reason = 'another'",
        "UPDATE accesses SET basis = 'consents/another'",
        "UPDATE accesses SET documents = '[]'",
        "UPDATE consents SET purpose_text = 'another'",
        "UPDATE consents SET grant_text_salt = NULL",
        "UPDATE document_types SET issuers = '[\"subjects/thief\"]'",
        "DELETE FROM type_changes",
    ],
)
async def test_the_audit_finds_a_changed_record(world: World, change: str) -> None:
    document = await world.register()
    consent = await world.grant()
    await world.look_up()
    await world.withdraw(consent.name)
    await world.revoke(document.name)
    assert await audited(world) == []
    async with world.database.transaction() as connection:
        await connection.exec_driver_sql(change)
    assert await audited(world) != []


async def audited(world: World) -> list[object]:
    return list(
        await audit(
            world.database,
            world.registry.contents,
            world.objects,
            log_key().verifier,
            records=all_records,
        )
    )


async def test_a_registration_logged_by_an_earlier_release_is_compared_without_its_new_members(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as earlier:
        earlier.setattr(log_entries, "_shown_by", lambda _document: {})
        await world.register()
    assert await audited(world) == []
