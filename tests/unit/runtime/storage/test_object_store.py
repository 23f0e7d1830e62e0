"""Objects are durable, private to their owner, and the same in a folder and on S3."""

from __future__ import annotations

import socket
import stat
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from obstore.store import from_url

from services.runtime.storage.object_store import (
    UNFINISHED,
    ObjectMissing,
    ObjectStore,
    open_object_store,
)
from services.runtime.storage.outages import StorageUnavailable
from tests import s3


@pytest.fixture(scope="module")
def s3_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with s3.serving(tmp_path_factory.mktemp("seaweedfs")) as address:
        yield address


@pytest.fixture(params=["folder", "s3"])
def store(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> ObjectStore:
    if request.param == "folder":
        return open_object_store(str(tmp_path / "objects"))
    address: str = request.getfixturevalue("s3_address")
    return open_object_store(s3.use(address, monkeypatch))


async def test_objects_are_put_read_in_ranges_listed_and_deleted(store: ObjectStore) -> None:
    before = datetime.now(UTC) - timedelta(minutes=1)
    await store.put("ranges/one", b"0123456789")
    assert await store.get("ranges/one") == b"0123456789"
    assert await store.get("ranges/one", 2, 3) == b"234"
    for start, length in [(8, 5), (10, 1), (50, 1)]:
        with pytest.raises(ObjectMissing):
            await store.get("ranges/one", start, length)
    (found,) = [found async for found in store.list("ranges/")]
    assert (found.key, found.size) == ("ranges/one", 10)
    assert found.modified > before
    for _ in range(2):
        await store.delete("ranges/one")
        with pytest.raises(ObjectMissing):
            await store.get("ranges/one")
    assert [found async for found in store.list("ranges/")] == []


async def test_an_object_put_again_is_replaced(store: ObjectStore) -> None:
    await store.put("again", b"first")
    await store.put("again", b"second")
    assert await store.get("again") == b"second"
    await store.delete("again")


async def test_files_are_their_owners_alone(tmp_path: Path) -> None:
    store = open_object_store(f"file://{tmp_path}/objects")
    await store.put("a/b", b"private")
    path = tmp_path / "objects" / "a" / "b"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    for folder in (path.parent, path.parent.parent):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


async def test_a_file_that_cannot_be_renamed_into_place_leaves_nothing(tmp_path: Path) -> None:
    store = open_object_store(str(tmp_path))
    (tmp_path / "taken").mkdir()
    with pytest.raises(StorageUnavailable):
        await store.put("taken", b"data")
    assert list((tmp_path / UNFINISHED).iterdir()) == []


async def test_a_folder_that_cannot_be_written_is_unavailable_until_it_can(tmp_path: Path) -> None:
    store = open_object_store(str(tmp_path / "objects"))
    await store.check()
    # A file where a folder should be: what the root user meets too.
    (tmp_path / "objects" / "packs").write_bytes(b"")
    (tmp_path / "objects" / "unfinished").write_bytes(b"")
    with pytest.raises(StorageUnavailable):
        await store.put("packs/one", b"1")
    with pytest.raises(StorageUnavailable):
        await store.check()
    for name in ("packs", "unfinished"):
        (tmp_path / "objects" / name).unlink()
    await store.check()
    await store.put("packs/one", b"1")


async def test_a_store_that_is_away_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{unused.getsockname()[1]}"
        location = s3.use(address, monkeypatch)
        store = ObjectStore(from_url(location, retry_config={"max_retries": 0}), None)
        with pytest.raises(StorageUnavailable):
            await store.put("packs/one", b"1")
        with pytest.raises(StorageUnavailable):
            await store.get("packs/one")
