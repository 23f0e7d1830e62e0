"""Contents: packed, encrypted, read back unchanged or not at all, and collected once orphaned."""

from __future__ import annotations

import asyncio
import hashlib
import os
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from services.registry import tables
from services.registry.contents.packs import (
    SMALL_BYTES,
    ContentLost,
    Contents,
    WrappingKey,
    object_key_of,
)
from services.registry.contents.store import content_row
from services.registry.log.store import Rows
from services.runtime.clock import Clock, system_clock
from services.runtime.storage.object_store import UNFINISHED, open_object_store
from services.runtime.storage.outages import StorageUnavailable
from tests.unit.registry.ledger import CONTENT_KEY, entry, opened


def digest(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()


def contents_in(folder: Path, *, clock: Clock = system_clock) -> Contents:
    return Contents(open_object_store(str(folder)), CONTENT_KEY, clock=clock)


def packs(folder: Path) -> list[str]:
    return [str(path.relative_to(folder)) for path in folder.rglob("packs/*/*")]


async def test_contents_come_back_as_they_were_put(tmp_path: Path) -> None:
    contents = contents_in(tmp_path)
    data = [b"", b"one", os.urandom(SMALL_BYTES + 1), "Куәлік".encode(), os.urandom(5000)]
    references = await contents.put_many(data)
    for content, reference in zip(data, references, strict=True):
        assert await contents.get(reference, digest(content)) == content
    assert await contents.put_many([]) == []


async def test_small_contents_share_an_object_and_a_large_one_has_its_own(tmp_path: Path) -> None:
    contents = contents_in(tmp_path)
    large = os.urandom(SMALL_BYTES + 1)
    references = await contents.put_many([b"one", large, b"two"])
    assert references[0].object_key == references[2].object_key != references[1].object_key
    assert len(packs(tmp_path)) == 2


async def test_contents_of_many_callers_share_few_objects(tmp_path: Path) -> None:
    contents = contents_in(tmp_path)
    data = [os.urandom(100) for _ in range(64)]
    done = await asyncio.gather(*(contents.put_many([content]) for content in data))
    assert len(packs(tmp_path)) <= 2
    for content, (reference,) in zip(data, done, strict=True):
        assert await contents.get(reference, digest(content)) == content


async def test_an_object_is_named_by_its_bytes_and_holds_no_plaintext(tmp_path: Path) -> None:
    contents = contents_in(tmp_path)
    (reference,) = await contents.put_many([b"a secret that is easy to find"])
    path = tmp_path / reference.object_key
    stored = path.read_bytes()
    assert object_key_of(stored) == reference.object_key
    assert b"secret" not in stored
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


async def test_the_same_content_twice_is_two_ciphertexts(tmp_path: Path) -> None:
    contents = contents_in(tmp_path)
    one, other = await contents.put_many([b"same", b"same"])
    pack = (tmp_path / one.object_key).read_bytes()
    assert pack[: one.length] != pack[other.position :]


async def test_a_changed_missing_or_short_object_is_lost(tmp_path: Path) -> None:
    contents = contents_in(tmp_path)
    (reference,) = await contents.put_many([b"content"])
    path = tmp_path / reference.object_key
    stored = path.read_bytes()
    path.write_bytes(bytes([stored[0] ^ 1]) + stored[1:])
    with pytest.raises(ContentLost, match="changed"):
        await contents.get(reference, digest(b"content"))
    path.write_bytes(stored[:-1])
    with pytest.raises(ContentLost, match="missing"):
        await contents.get(reference, digest(b"content"))
    path.write_bytes(b"")
    with pytest.raises(ContentLost, match="missing"):
        await contents.get(reference, digest(b"content"))
    path.unlink()
    with pytest.raises(ContentLost, match="missing"):
        await contents.get(reference, digest(b"content"))


async def test_another_documents_content_is_not_taken_for_this_ones(tmp_path: Path) -> None:
    contents = contents_in(tmp_path)
    one, _ = await contents.put_many([b"one", b"other"])
    with pytest.raises(ContentLost, match="another content"):
        await contents.get(one, digest(b"other"))


async def test_another_content_key_opens_nothing(tmp_path: Path) -> None:
    (reference,) = await contents_in(tmp_path).put_many([b"content"])
    for key in (WrappingKey("content-2", CONTENT_KEY.key), WrappingKey("content-1", bytes(32))):
        with pytest.raises(ContentLost):
            other = Contents(open_object_store(str(tmp_path)), key)
            await other.get(reference, digest(b"content"))


async def test_orphans_are_removed_once_they_are_old_and_nothing_else(
    database_url: str, tmp_path: Path
) -> None:
    now = datetime.now(UTC)
    async with opened(database_url, tmp_path) as ledger:
        kept, _ = await ledger.contents.put_many([b"kept", b"erased beside it"])
        (orphan,) = await ledger.contents.put_many([b"orphan"])
        rows = [Rows(tables.contents, [content_row("documents/one", kept)])]
        await ledger.sequencer.submit([entry(1)], rows=rows)
        unfinished = tmp_path / UNFINISHED / "half"
        unfinished.write_bytes(b"half")

        young = contents_in(tmp_path, clock=lambda: now)
        assert await young.collect_orphans(ledger.database) == 0
        later = contents_in(tmp_path, clock=lambda: now + timedelta(hours=2))
        assert await later.collect_orphans(ledger.database) == 2
        assert not unfinished.exists()
        with pytest.raises(ContentLost):
            await later.get(orphan, digest(b"orphan"))
        assert await later.get(kept, digest(b"kept")) == b"kept"
        # The checkpoint is no content, and stays.
        assert (tmp_path / "log" / "checkpoint").exists()


async def test_an_object_that_cannot_be_written_fails_its_callers_and_no_others(
    tmp_path: Path,
) -> None:
    contents = contents_in(tmp_path)
    (tmp_path / "packs").write_text("in the way")
    with pytest.raises(StorageUnavailable):
        await contents.put_many([b"one"])
    (tmp_path / "packs").unlink()
    (reference,) = await contents.put_many([b"two"])
    assert await contents.get(reference, digest(b"two")) == b"two"
    assert list((tmp_path / UNFINISHED).iterdir()) == []


async def test_a_caller_who_left_costs_the_others_nothing(tmp_path: Path) -> None:
    contents = contents_in(tmp_path)
    leaving = asyncio.ensure_future(contents.put_many([b"left"]))
    staying = asyncio.ensure_future(contents.put_many([b"stayed"]))
    await asyncio.sleep(0)
    leaving.cancel()
    (reference,) = await staying
    assert await contents.get(reference, digest(b"stayed")) == b"stayed"
