"""Of every column of every table one value is changed, and the audit names row and column - or the
column stands in a list, with the reason why it cannot be compared."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from qagazsyz.registry.v1 import documents_pb2
from services.registry.audit.audit import audit
from services.registry.audit.source import all_records
from services.registry.audit.unaudited import UNAUDITED
from services.registry.delegation.request_log import RequestLog
from services.registry.identity_events.collection import EventCollection
from services.registry.tables import metadata
from services.runtime.clock import system_randomness
from services.runtime.storage.database import Database, sqlite_url
from tests.unit.registry.audit.builders import differences
from tests.unit.registry.identity_events.fake_identity import FakeIdentity, serving
from tests.unit.registry.ledger import NOW, WITNESS, Ledger, cosigned, log_key, opened
from tests.unit.registry.log.reader import reader
from tests.unit.registry.world import (
    ADDRESS,
    CITIZEN,
    FIRST_BANK,
    LAW,
    PURPOSE,
    SPOUSE,
    World,
    ministry_officer,
    opened_world,
)

LOG_TABLES = {name for name in metadata.tables if name.startswith("log_")}
# How the audit names a column, if not by its own name: as a member of the entry, mostly.
NAMED: dict[tuple[str, str], str] = {
    ("documents", "name"): "in document",
    ("documents", "content_salt"): "content_sha256",
    ("documents", "create_time"): "time",
    ("documents", "revoke_time"): "time",
    ("documents", "erase_time"): "time",
    ("documents", "log_index"): "entry",
    ("documents", "revoke_index"): "entry",
    ("documents", "erase_index"): "entry",
    ("document_subjects", "document"): "subjects",
    ("document_subjects", "subject"): "subjects",
    ("document_subjects", "salt"): "subjects",
    ("document_signatures", "document"): "signatures",
    ("document_signatures", "signer"): "signers",
    ("document_signatures", "certificate"): "certificates",
    ("document_signatures", "signature"): "signatures",
    ("contents", "document"): "its content's key is missing",
    ("contents", "object_key"): "its content in",
    ("contents", "position"): "its content in",
    ("contents", "length"): "its content in",
    ("contents", "wrapping_key_id"): "another content key",
    ("contents", "wrapped_key"): "its content in",
    ("document_types", "name"): "is gone",
    ("document_types", "display_names"): "type_sha256",
    ("document_types", "attributes"): "is gone, or cannot be read",
    ("type_changes", "log_index"): "entry",
    ("consents", "name"): "in consent",
    ("consents", "subject"): "subjects",
    ("consents", "create_time"): "time",
    ("consents", "withdraw_time"): "time",
    ("consents", "grant_salt"): "subjects",
    ("consents", "withdraw_salt"): "subjects",
    ("consents", "grant_text_salt"): "purpose_text",
    ("consents", "withdraw_text_salt"): "purpose_text",
    ("consents", "grant_index"): "entry",
    ("consents", "withdraw_index"): "entry",
    ("accesses", "name"): "in access",
    ("accesses", "officer_salt"): "officer",
    ("accesses", "basis"): "consent",
    ("accesses", "create_time"): "time",
    ("accesses", "log_index"): "entry",
    ("accesses", "entry_salt"): "reason",
    ("access_subjects", "access"): "subjects",
    ("access_subjects", "subject"): "subjects",
    ("access_subjects", "salt"): "subjects",
    ("identity_events", "kind"): "event",
    ("identity_events", "fingerprint"): "certificate",
    ("identity_events", "salts"): "officers",
    ("identity_events", "log_index"): "entry",
    ("request_events", "entry_salt"): "change",
    ("request_events", "log_index"): "entry",
    ("log_head", "id"): "is missing",
    ("log_head", "tree_size"): "not the tree of its own checkpoint",
    ("log_head", "root_hash"): "not the tree of its own checkpoint",
    ("log_head", "checkpoint"): "",
    ("log_entries", "log_index"): "is missing",
    ("log_entries", "leaf_hash"): "its stored hash was changed",
    ("log_entries", "entry"): "was changed",
    ("log_tiles", "level"): "is missing",
    ("log_tiles", "tile_index"): "is missing",
    ("log_tiles", "root_hash"): "its stored root was changed",
    ("log_tiles", "hashes"): "is not the one of the entries",
    ("log_cosignatures", "witness"): "is not over the stored tree",
    ("log_cosignatures", "line"): "is not over the stored tree",
}
# The row that is changed, where not any will do.
ROWS = {
    "documents": "erase_time IS NULL AND revoke_time IS NOT NULL",
    "document_subjects": "salt IS NOT NULL",
    "access_subjects": "position IS NOT NULL",
    "accesses": "basis LIKE 'consents/%'",
    "consents": "withdraw_time IS NOT NULL",
    "document_types": f"name = '{ADDRESS}'",
    "type_changes": f"document_type = '{ADDRESS}' AND legal_bases <> '[]'",
    "identity_events": "role = 0",
    ("documents", "erase_time"): "erase_time IS NOT NULL",
    ("documents", "erase_index"): "erase_time IS NOT NULL",
}
# Whose name stands before the difference, by the row's column.
OWNERS = {
    "documents": "name",
    "document_subjects": "document",
    "document_signatures": "document",
    "contents": "document",
    "document_types": "name",
    "type_changes": "document_type",
    "consents": "name",
    "accesses": "name",
    "access_subjects": "access",
    "identity_events": "number",
    "request_events": "request",
}
# Where the row's own name was changed, the new one is named with the entry that has the old one.
RENAMED = {
    ("documents", "name"),
    ("consents", "name"),
    ("accesses", "name"),
    ("type_changes", "document_type"),
    ("request_events", "request"),
}


class Tampering:
    """Changes one value at a time, as somebody with the database's file can, and undoes it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def row(self, table: str, column: str) -> dict[str, Any]:
        where = ROWS.get((table, column), ROWS.get(table, "1"))
        with self._open() as connection:
            connection.row_factory = sqlite3.Row
            found = connection.execute(
                f"SELECT rowid AS number, * FROM {table} WHERE {where} ORDER BY rowid LIMIT 1"  # noqa: S608
            ).fetchone()
        assert found is not None, f"no row of {table} to change {column} in"
        return dict(found)

    def set(self, table: str, column: str, row: dict[str, Any], value: object) -> None:
        with self._open() as connection, connection:
            connection.execute(
                f"UPDATE {table} SET {column} = ? WHERE rowid = ?",  # noqa: S608
                (value, row["number"]),
            )

    def run(self, statement: str) -> None:
        with self._open() as connection, connection:
            connection.execute(statement)

    def _open(self) -> closing[sqlite3.Connection]:
        return closing(sqlite3.connect(self._path, timeout=60))


def another(value: object, column: str) -> object:
    """Return a value of the same kind, and another one."""
    if column in ("salt", "entry_salt", "content_salt") or isinstance(value, bytes):
        data = bytes(value) if isinstance(value, bytes) else bytes(32)
        return data[:-1] + bytes([data[-1] ^ 1])
    if isinstance(value, int):
        return {"event": 3, "kind": 2}.get(column, value + 1_000)
    assert isinstance(value, str), column
    if column.endswith("_time") or column == "time":
        return value.replace("202", "201", 1)
    if value.startswith(("[", "{")):
        return {
            "display_names": '{"en": "Other"}',
            "attributes": '["/other"]',
            "legal_bases": "[]",
        }.get(column, '["subjects/thief"]')
    return f"{value[:-1]}-"


async def everything(world: World, folder: Path) -> None:
    """Make a row of every table, with a value in every column that can have one."""
    basis = documents_pb2.LegalBasis(organization=FIRST_BANK, purpose=PURPOSE, citation=LAW)
    await world.update_type(ADDRESS, "legal_bases", legal_bases=[basis])
    joint = await world.register(subjects=[CITIZEN, SPOUSE], expire_time=NOW + timedelta(days=9))
    consent = await world.grant()
    await world.look_up()
    await world.download(joint.name, ministry_officer)
    await world.withdraw(consent.name)
    await world.revoke(joint.name)
    erased = await world.register(request_id="0190c3a5-0000-7000-8000-000000000001")
    await world.erase(erased.name)
    await RequestLog(
        world.database, world.registry.sequencer, lambda: NOW, system_randomness
    ).append(
        request="serviceRequests/1",
        public_service="publicServices/1",
        applicant=CITIZEN,
        number=1,
        change=b'{"state":"draft"}',
        delegation=None,
    )
    identity = FakeIdentity()  # type: ignore[abstract]
    identity.tell()
    identity.tell_membership()
    async with serving(identity, folder) as client:
        await EventCollection(world.database, world.registry.sequencer, client).collect()


async def audited(world: World) -> list[str]:
    found = await audit(
        world.database,
        world.registry.contents,
        world.objects,
        log_key().verifier,
        records=all_records,
    )
    return [str(each) for each in found]


def columns(tables: set[str]) -> Iterator[tuple[str, str]]:
    for table in metadata.sorted_tables:
        for column in table.columns:
            if table.name in tables and (table.name, column.name) not in UNAUDITED:
                yield table.name, column.name


def test_every_column_that_is_listed_exists_and_has_a_reason() -> None:
    existing = {
        (table.name, each.name) for table in metadata.sorted_tables for each in table.columns
    }
    assert UNAUDITED.keys() <= existing
    assert all(UNAUDITED.values())
    assert not UNAUDITED.keys() & NAMED.keys()
    assert NAMED.keys() <= existing
    # No table is forgotten.
    changed = {each for each in existing if each[0] in OWNERS.keys() | LOG_TABLES}
    assert existing == changed | UNAUDITED.keys()


async def test_a_changed_value_of_any_record_is_named_by_row_and_column(tmp_path: Path) -> None:
    path = tmp_path / "registry.db"
    async with opened_world(sqlite_url(path), tmp_path) as world:
        await everything(world, tmp_path)
        assert await audited(world) == []
        tampering = Tampering(path)
        missed = {}
        for table, column in columns(set(OWNERS)):
            row = await asyncio.to_thread(tampering.row, table, column)
            value = another(row[column], column)
            await asyncio.to_thread(tampering.set, table, column, row, value)
            owner = str(row[OWNERS[table]])
            what = NAMED.get((table, column), column)
            found = await audited(world)
            is_named = any(
                what in each and (owner in each or (table, column) in RENAMED) for each in found
            )
            if not is_named:
                missed[table, column] = found
            await asyncio.to_thread(tampering.set, table, column, row, row[column])
        assert not missed, "\n".join(f"{key}: {found}" for key, found in missed.items())
        assert await audited(world) == []


async def test_a_changed_value_of_the_log_is_named(tmp_path: Path) -> None:
    path = tmp_path / "test.db"
    async with opened(sqlite_url(path), tmp_path / "contents", witnesses=(WITNESS,)) as ledger:
        await ledger.sequencer.submit([b'{"event":"tested","v":1}'] * 257)
        note = cosigned(await ledger.checkpoint())
        assert await reader(ledger).add_cosignature(note) == 1
        before = await differences(ledger)
        tampering = Tampering(path)
        missed = {}
        for table, column in columns(LOG_TABLES):
            row = await asyncio.to_thread(tampering.row, table, column)
            value = another(row[column], column)
            await asyncio.to_thread(tampering.set, table, column, row, value)
            found = [each for each in await differences(ledger) if each not in before]
            if not any(NAMED[table, column] in each for each in found):
                missed[table, column] = found
            await asyncio.to_thread(tampering.set, table, column, row, row[column])
        assert not missed, "\n".join(f"{key}: {found}" for key, found in missed.items())


@pytest.mark.parametrize(
    ("change", "named"),
    [
        # A document destroyed without an entry.
        (
            "UPDATE documents SET title = '', content_sha256 = NULL, content_salt = NULL, "
            "statement_key = NULL, erase_citation = 'x', erase_time = '2026-11-24 00:00:00.000000' "
            "WHERE erase_time IS NULL",
            "erase_time without erase_index",
        ),
        ("UPDATE documents SET revoke_index = NULL", "revoke_time without revoke_index"),
        ("UPDATE consents SET withdraw_index = NULL", "withdraw_time without withdraw_index"),
        ("UPDATE consents SET withdraw_time = NULL", "withdraw_index without withdraw_time"),
        ("DELETE FROM access_subjects WHERE position IS NULL", "its sharers"),
        (
            "UPDATE documents SET title = 'Back' WHERE erase_time IS NOT NULL",
            "was erased, and title was not",
        ),
        ("UPDATE document_types SET legal_bases = '[]'", "legal_bases"),
        ("UPDATE document_signatures SET statement_version = 9", "cannot be read"),
        ("UPDATE accesses SET event = 9", "cannot be read"),
        ("UPDATE document_subjects SET position = 7 WHERE position = 1", "position in"),
    ],
)
async def test_what_was_done_without_an_entry_is_named(
    change: str, named: str, tmp_path: Path
) -> None:
    path = tmp_path / "registry.db"
    async with opened_world(sqlite_url(path), tmp_path) as world:
        await everything(world, tmp_path)
        await asyncio.to_thread(Tampering(path).run, change)
        assert any(named in each for each in await audited(world))


@pytest.mark.parametrize("name", ["contents_by_object", "documents"])
async def test_a_malformed_page_is_named(ledger: Ledger, tmp_path: Path, name: str) -> None:
    assert await ledger.database.purge_deleted()
    path = tmp_path / "test.db"

    def damage() -> None:
        with closing(sqlite3.connect(path)) as connection:
            (size,) = connection.execute("PRAGMA page_size").fetchone()
            asked = "SELECT rootpage FROM sqlite_master WHERE name = ?"
            (page,) = connection.execute(asked, (name,)).fetchone()
        with path.open("r+b") as file:
            file.seek((page - 1) * size)
            file.write(b"\xa5" * 512)

    await asyncio.to_thread(damage)
    # Without the pages that the ledger's connections keep.
    ledger.database = Database(sqlite_url(path))
    found = await differences(ledger)
    await ledger.database.close()
    assert any(each.startswith("database: ") for each in found)
