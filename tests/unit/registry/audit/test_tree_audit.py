"""Every change of entries, tiles, head and checkpoints is named."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

import pytest
from sqlalchemy import delete, insert, make_url, update

from qagazsyz import notes
from services.registry import tables
from services.registry.log import store as log_store
from services.registry.log.stored_tiles import LogDamaged
from testing.postgres import Postgres
from tests.unit.registry.audit.builders import DOCUMENTS, change, differences, name_of, register
from tests.unit.registry.ledger import (
    WITNESS,
    WITNESS_PRIVATE,
    Ledger,
    log_key,
    opened,
)
from tests.unit.registry.log.reader import reader


@pytest.mark.parametrize("index", [0, 100, 299])
async def test_a_bit_flipped_in_an_entry_is_named(ledger: Ledger, index: int) -> None:
    entries = tables.log_entries
    async with ledger.database.reading() as connection:
        (stored,) = await log_store.read_entries(connection, index, index + 1)
    flipped = stored.entry.replace(b"title of", b"title og")
    await change(ledger, update(entries).where(entries.c.log_index == index).values(entry=flipped))
    found = await differences(ledger)
    assert f"entry {index}: was changed" in found
    assert f"{name_of(index)}: differs from entry {index} in title" in found
    assert all(each.startswith((f"entry {index}", name_of(index), "head")) for each in found)


async def test_a_bit_flipped_in_an_entry_on_postgresql_is_named(
    postgres_url: str, tmp_path: Path
) -> None:
    async with opened(postgres_url, tmp_path / "contents") as ledger:
        await register(ledger, 0, DOCUMENTS)
        flip = "UPDATE log_entries SET entry = set_bit(entry, 700, 1 - get_bit(entry, 700))"
        async with ledger.database.transaction() as connection:
            await connection.exec_driver_sql(f"{flip} WHERE log_index = 7")
        assert "entry 7: was changed" in await differences(ledger)


async def test_an_entry_changed_with_its_hash_is_named(ledger: Ledger) -> None:
    entries = tables.log_entries
    async with ledger.database.reading() as connection:
        (stored,) = await log_store.read_entries(connection, 299, 300)
    forged = stored.entry.replace(b"title of", b"title og")
    await change(
        ledger,
        update(entries)
        .where(entries.c.log_index == 299)
        .values(entry=forged, leaf_hash=hashlib.sha256(b"\0" + forged).digest()),
    )
    found = await differences(ledger)
    assert "head: is not of the stored tree" in found
    assert f"{name_of(299)}: differs from entry 299 in title" in found


async def test_a_changed_leaf_hash_is_named(ledger: Ledger) -> None:
    entries = tables.log_entries
    await change(
        ledger,
        update(entries).where(entries.c.log_index == 7).values(leaf_hash=os.urandom(32)),
    )
    assert await differences(ledger) == ["entry 7: its stored hash was changed"]


async def test_a_deleted_entry_is_named(ledger: Ledger) -> None:
    await change(ledger, delete(tables.log_entries).where(tables.log_entries.c.log_index == 7))
    assert await differences(ledger) == [
        "entry 7: is missing",
        f"{name_of(7)}: has no entry 7",
    ]


async def test_deleted_last_entries_are_named(ledger: Ledger) -> None:
    await change(ledger, delete(tables.log_entries).where(tables.log_entries.c.log_index >= 298))
    found = await differences(ledger)
    assert {"entry 298: is missing", "entry 299: is missing"} <= set(found)


async def test_an_entry_that_was_never_signed_is_named(ledger: Ledger) -> None:
    values = {"log_index": 300, "leaf_hash": bytes(32), "entry": b"{}"}
    await change(ledger, insert(tables.log_entries).values(**values))
    assert await differences(ledger) == ["entries from 300: were never signed"]


@pytest.mark.parametrize("column", ["hashes", "root_hash"])
async def test_a_changed_tile_is_named(ledger: Ledger, column: str) -> None:
    size = 8192 if column == "hashes" else 32
    await change(ledger, update(tables.log_tiles).values({column: bytes(size)}))
    (found,) = await differences(ledger)
    assert found.startswith("tile 0/0: ")


async def test_a_deleted_and_an_added_tile_are_named(ledger_on_each: Ledger) -> None:
    ledger = ledger_on_each
    await change(ledger, update(tables.log_tiles).values(tile_index=1))
    assert await differences(ledger) == ["tile 0/0: is missing", "tile 0/1: was never signed"]


async def test_a_head_of_another_tree_is_named(ledger: Ledger) -> None:
    await change(ledger, update(tables.log_head).values(tree_size=299))
    assert await differences(ledger) == ["head: is not the tree of its own checkpoint"]


async def test_a_head_signed_by_another_key_is_named(ledger: Ledger) -> None:
    async with ledger.database.reading() as connection:
        head = await log_store.read_head(connection)
    assert head is not None
    forged = log_key(2).sign(head.tree_size, head.root_hash)
    await change(ledger, update(tables.log_head).values(checkpoint=forged))
    (found,) = await differences(ledger)
    assert found.startswith("head: ")


async def test_a_missing_head_is_named(ledger: Ledger) -> None:
    await change(ledger, delete(tables.log_head))
    assert "head: is missing, and yet there was a log" in await differences(ledger)


async def test_a_checkpoint_of_another_tree_is_named(ledger: Ledger) -> None:
    forged = ledger.key.sign(17, os.urandom(32))
    assert await differences(ledger, seen=[forged]) == [
        "checkpoint 1 of those seen: is not of the stored tree"
    ]


async def test_a_cosignature_over_another_tree_is_named(ledger: Ledger) -> None:
    text = notes.Checkpoint(ledger.key.origin, 17, os.urandom(32)).text
    line = notes.cosign(text, WITNESS, WITNESS_PRIVATE, 5).line
    async with ledger.database.transaction() as connection:
        await log_store.put_cosignature(connection, log_store.Cosignature(17, str(WITNESS), line))
    assert await differences(ledger) == [
        "cosignature of witness.example over 17 entries: is not over the stored tree"
    ]


async def test_an_old_backup_beside_a_newer_checkpoint_is_named(tmp_path: Path) -> None:
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


async def test_an_old_backup_of_postgresql_beside_a_newer_checkpoint_is_named(
    postgres: Postgres, tmp_path: Path
) -> None:
    url = postgres.create_database()
    async with opened(url, tmp_path / "contents") as ledger:
        await register(ledger, 0, 3)
    backup = postgres.create_database(template=str(make_url(url).database))
    async with opened(url, tmp_path / "contents") as ledger:
        await register(ledger, 3, 6)
    with pytest.raises(LogDamaged, match="older than a checkpoint that was signed"):
        async with opened(backup, tmp_path / "contents"):
            pass
    async with opened(backup, tmp_path / "elsewhere") as restored:
        restored.objects = ledger.objects
        found = await differences(restored)
    assert found[0] == "kept checkpoint: is newer (6 entries) than the stored log"
