"""The audit finds every difference that a test can make, and none where there is none."""

from __future__ import annotations

import hashlib
import os
import shutil

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import delete, insert, make_url, select, update

from qagazsyz import notes
from services.registry import tables
from services.registry.audit.audit import audit
from services.registry.contents.store import content_row
from services.registry.log import store as log_store
from services.registry.log.store import Rows
from services.registry.log.transparency_log import LogDamaged, encode_entry
from tests.unit.registry.ledger import (
    NOW,
    WITNESS,
    cosigned,
    document_row,
    log_key,
    members_of,
    opened,
    simple_records,
)
from tests.unit.registry.log.reader import reader

DOCUMENTS = 300


def name_of(number: int) -> str:
    return f"documents/{number:04d}"


async def register(ledger, start: int, stop: int) -> None:
    data = [f"content {number}".encode() for number in range(start, stop)]
    references = await ledger.contents.put_many(data)
    rows = [document_row(name_of(start + i), content) for i, content in enumerate(data)]
    await ledger.sequencer.submit(
        [encode_entry(members_of(row["name"], row["title"])) for row in rows],
        rows=[
            Rows(
                tables.documents,
                [{**row, "log_index": i} for i, row in enumerate(rows)],
                index_column="log_index",
            ),
            Rows(
                tables.contents,
                [
                    content_row(row["name"], reference)
                    for reference, row in zip(references, rows, strict=True)
                ],
            ),
        ],
    )


async def differences(ledger, **more) -> list[str]:
    found = await audit(
        ledger.database, ledger.contents, ledger.objects, ledger.key.verifier,
        records=simple_records, **more,
    )  # fmt: skip
    return [str(each) for each in found]


@pytest.fixture
async def ledger(tmp_path):
    url = f"sqlite:///{tmp_path}/test.db"
    async with opened(url, tmp_path / "contents", witnesses=(WITNESS,)) as ledger:
        await register(ledger, 0, DOCUMENTS)
        yield ledger


@pytest.fixture
async def ledger_on_each(database_url, tmp_path):
    """On SQLite and on PostgreSQL, for what the statements decide."""
    async with opened(database_url, tmp_path / "contents", witnesses=(WITNESS,)) as ledger:
        await register(ledger, 0, DOCUMENTS)
        yield ledger


async def change(ledger, statement) -> None:
    async with ledger.database.transaction() as connection:
        await connection.execute(statement)


async def test_a_sound_registry_has_no_differences(ledger_on_each):
    ledger = ledger_on_each
    checkpoints = []
    for stop in (301, 512, 513):
        await register(ledger, stop - 1, stop)
        async with ledger.database.reading() as connection:
            checkpoints.append(await ledger.transparency_log.checkpoint(connection))
    assert await reader(ledger).add_cosignature(cosigned(checkpoints[0])) == 1
    assert await differences(ledger, seen=checkpoints) == []


async def test_an_empty_registry_has_no_differences(database_url, tmp_path):
    async with opened(database_url, tmp_path / "contents") as ledger:
        assert await differences(ledger) == []


@pytest.mark.parametrize("index", [0, 100, 299])
async def test_a_bit_flipped_in_an_entry_is_named(ledger, index):
    entries = tables.log_entries
    async with ledger.database.reading() as connection:
        (found,) = await log_store.read_entries(connection, index, index + 1)
    flipped = found.entry.replace(b"title of", b"title og")
    await change(ledger, update(entries).where(entries.c.log_index == index).values(entry=flipped))
    found = await differences(ledger)
    assert f"entry {index}: was changed" in found
    assert f"{name_of(index)}: differs from entry {index} in title" in found
    assert all(each.startswith((f"entry {index}", name_of(index), "head")) for each in found)


async def test_an_entry_changed_with_its_hash_is_named(ledger):
    entries = tables.log_entries
    async with ledger.database.reading() as connection:
        (found,) = await log_store.read_entries(connection, 299, 300)
    forged = found.entry.replace(b"title of", b"title og")
    await change(
        ledger,
        update(entries)
        .where(entries.c.log_index == 299)
        .values(entry=forged, leaf_hash=hashlib.sha256(b"\0" + forged).digest()),
    )
    found = await differences(ledger)
    assert "head: is not of the stored tree" in found
    assert f"{name_of(299)}: differs from entry 299 in title" in found


async def test_a_changed_leaf_hash_is_named(ledger):
    entries = tables.log_entries
    await change(
        ledger,
        update(entries).where(entries.c.log_index == 7).values(leaf_hash=os.urandom(32)),
    )
    assert await differences(ledger) == ["entry 7: its stored hash was changed"]


async def test_a_deleted_entry_is_named(ledger):
    await change(ledger, delete(tables.log_entries).where(tables.log_entries.c.log_index == 7))
    assert await differences(ledger) == [
        "entry 7: is missing",
        f"{name_of(7)}: has no entry 7",
    ]


async def test_deleted_last_entries_are_named(ledger):
    await change(ledger, delete(tables.log_entries).where(tables.log_entries.c.log_index >= 298))
    found = await differences(ledger)
    assert {"entry 298: is missing", "entry 299: is missing"} <= set(found)


async def test_an_entry_that_was_never_signed_is_named(ledger):
    values = {"log_index": 300, "leaf_hash": bytes(32), "entry": b"{}"}
    await change(ledger, insert(tables.log_entries).values(**values))
    assert await differences(ledger) == ["entries from 300: were never signed"]


@pytest.mark.parametrize("column", ["hashes", "root_hash"])
async def test_a_changed_tile_is_named(ledger, column):
    size = 8192 if column == "hashes" else 32
    await change(ledger, update(tables.log_tiles).values({column: bytes(size)}))
    (found,) = await differences(ledger)
    assert found.startswith("tile 0/0: ")


async def test_a_deleted_and_an_added_tile_are_named(ledger_on_each):
    ledger = ledger_on_each
    await change(ledger, update(tables.log_tiles).values(tile_index=1))
    assert await differences(ledger) == ["tile 0/0: is missing", "tile 0/1: was never signed"]


async def test_a_deleted_document_is_named(ledger_on_each):
    ledger = ledger_on_each
    await change(ledger, delete(tables.documents).where(tables.documents.c.name == name_of(7)))
    assert await differences(ledger) == [
        "entry 7: has no record (registered)",
        f"{name_of(7)}: its content's key should not be there",
    ]


async def test_a_changed_document_is_named(ledger):
    documents = tables.documents
    await change(
        ledger, update(documents).where(documents.c.name == name_of(7)).values(title="other")
    )
    assert await differences(ledger) == [f"{name_of(7)}: differs from entry 7 in title"]


async def test_a_document_that_borrows_anothers_entry_is_named(ledger):
    documents = tables.documents
    await change(
        ledger, update(documents).where(documents.c.name == name_of(7)).values(log_index=3)
    )
    assert await differences(ledger) == [
        f"{name_of(7)}: claims entry 3, which is another record's",
        "entry 7: has no record (registered)",
    ]


async def test_a_table_rolled_back_is_named(ledger_on_each):
    ledger = ledger_on_each
    documents, contents = tables.documents, tables.contents
    async with ledger.database.reading() as connection:
        before = [dict(row._mapping) for row in await connection.execute(select(documents))]
        keys = [dict(row._mapping) for row in await connection.execute(select(contents))]
    await register(ledger, 300, 303)
    async with ledger.database.transaction() as connection:
        for table, rows in ((documents, before), (contents, keys)):
            await connection.execute(delete(table))
            await connection.execute(insert(table), rows)
    assert await differences(ledger) == [
        f"entry {index}: has no record (registered)" for index in (300, 301, 302)
    ]


async def test_a_head_of_another_tree_is_named(ledger):
    await change(ledger, update(tables.log_head).values(tree_size=299))
    assert await differences(ledger) == ["head: is not the tree of its own checkpoint"]


async def test_a_head_signed_by_another_key_is_named(ledger):
    async with ledger.database.reading() as connection:
        head = await log_store.read_head(connection)
    forged = log_key(2).sign(head.tree_size, head.root_hash)
    await change(ledger, update(tables.log_head).values(checkpoint=forged))
    (found,) = await differences(ledger)
    assert found.startswith("head: ")


async def test_a_missing_head_is_named(ledger):
    await change(ledger, delete(tables.log_head))
    assert "head: is missing, and yet there was a log" in await differences(ledger)


async def test_a_checkpoint_of_another_tree_is_named(ledger):
    forged = ledger.key.sign(17, os.urandom(32))
    assert await differences(ledger, seen=[forged]) == [
        "checkpoint 1 of those seen: is not of the stored tree"
    ]


async def test_a_cosignature_over_another_tree_is_named(ledger):
    private = Ed25519PrivateKey.from_private_bytes(bytes([9]) * 32)
    text = notes.Checkpoint(ledger.key.origin, 17, os.urandom(32)).text
    line = notes.cosign(text, WITNESS, private, 5).line
    async with ledger.database.transaction() as connection:
        await log_store.put_cosignature(connection, log_store.Cosignature(17, str(WITNESS), line))
    assert await differences(ledger) == [
        "cosignature of witness.example over 17 entries: is not over the stored tree"
    ]


async def test_an_old_backup_beside_a_newer_checkpoint_is_named(tmp_path):
    url = f"sqlite:///{tmp_path}/test.db"
    async with opened(url, tmp_path / "contents") as ledger:
        await register(ledger, 0, 3)
    shutil.copy(tmp_path / "test.db", tmp_path / "backup.db")
    async with opened(url, tmp_path / "contents", witnesses=(WITNESS,)) as ledger:
        await register(ledger, 3, 6)
        answer = await reader(ledger).get("GetCheckpoint", None)
    backup = f"sqlite:///{tmp_path}/backup.db"
    # Started with a folder of its own, since it refuses to start beside the newer checkpoint.
    async with opened(backup, tmp_path / "elsewhere") as restored:
        restored.objects = ledger.objects
        found = await differences(restored, seen=[answer.data])
    assert found[:2] == [
        "kept checkpoint: is newer (6 entries) than the stored log",
        "checkpoint 1 of those seen: is newer (6 entries) than the stored log",
    ]


async def test_an_old_backup_of_postgresql_beside_a_newer_checkpoint_is_named(postgres, tmp_path):
    url = postgres.create_database()
    async with opened(url, tmp_path / "contents") as ledger:
        await register(ledger, 0, 3)
    backup = postgres.create_database(template=make_url(url).database)
    async with opened(url, tmp_path / "contents") as ledger:
        await register(ledger, 3, 6)
    with pytest.raises(LogDamaged, match="older than a checkpoint that was signed"):
        async with opened(backup, tmp_path / "contents"):
            pass
    async with opened(backup, tmp_path / "elsewhere") as restored:
        restored.objects = ledger.objects
        found = await differences(restored)
    assert found[0] == "kept checkpoint: is newer (6 entries) than the stored log"


async def test_a_bit_flipped_in_an_entry_on_postgresql_is_named(postgres_url, tmp_path):
    async with opened(postgres_url, tmp_path / "contents") as ledger:
        await register(ledger, 0, DOCUMENTS)
        flip = "UPDATE log_entries SET entry = set_bit(entry, 700, 1 - get_bit(entry, 700))"
        async with ledger.database.transaction() as connection:
            await connection.exec_driver_sql(f"{flip} WHERE log_index = 7")
        assert "entry 7: was changed" in await differences(ledger)


async def a_pack(ledger):
    async with ledger.database.reading() as connection:
        keys = await connection.execute(select(tables.contents.c.object_key).distinct())
        return ledger.objects._folder / keys.scalars().first()


async def test_a_bit_flipped_in_a_content_is_named(ledger):
    pack = await a_pack(ledger)
    stored = bytearray(pack.read_bytes())
    stored[40] ^= 1
    pack.write_bytes(stored)
    key = f"packs/{pack.parent.name}/{pack.name}"
    assert await differences(ledger) == [
        f"{key}: was changed",
        f"{name_of(1)}: its content in {key} was changed",
    ]


async def test_a_missing_object_is_named_with_all_its_documents(ledger):
    (await a_pack(ledger)).unlink()
    found = await differences(ledger)
    assert found[0].endswith(": is missing")
    assert len(found) == 1 + DOCUMENTS


async def test_a_missing_and_a_swapped_key_are_named(ledger_on_each):
    ledger = ledger_on_each
    contents = tables.contents
    await change(ledger, delete(contents).where(contents.c.document == name_of(7)))
    await change(
        ledger, update(contents).where(contents.c.document == name_of(3)).values(document="x")
    )
    found = await differences(ledger)
    assert found == [
        f"{name_of(3)}: its content's key is missing",
        f"{name_of(7)}: its content's key is missing",
        "x: its content's key should not be there",
    ]


async def test_an_erased_documents_entry_may_say_more_than_its_row(ledger):
    documents, contents = tables.documents, tables.contents
    await change(
        ledger,
        update(documents)
        .where(documents.c.name == name_of(7))
        .values(erase_time=NOW, content_sha256=None),
    )
    assert await differences(ledger) == [f"{name_of(7)}: its content's key should not be there"]
    await change(ledger, delete(contents).where(contents.c.document == name_of(7)))
    assert await differences(ledger) == []
