"""Objects by key, in a folder or in S3 (obstore), each durable once it is put.

An object store on the network keeps what it has acknowledged; obstore's driver
for a folder renames a file into place but flushes nothing to disk. So a folder
is written here - file flushed, renamed, its folder flushed - and read, listed
and deleted through obstore like any other store.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import obstore
from obstore.store import LocalStore, ObjectStore, from_url

# Where a folder's files are written before they are renamed into place: what a crash
# leaves half-written lies here, under names that nothing refers to.
UNFINISHED = "unfinished/"


class ObjectMissing(Exception):
    """There is no object of that key, or it is shorter than the range asked for."""


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object as the store lists it."""

    key: str
    size: int
    modified: datetime


class Objects:
    """A store of immutable objects."""

    def __init__(self, store: ObjectStore, folder: Path | None) -> None:
        self._store = store
        # Set where the store is a local folder, which is written here.
        self._folder = folder

    async def put(self, key: str, data: bytes) -> None:
        """Returns once the object is durable. The same key again replaces it."""
        if self._folder is None:
            await obstore.put_async(self._store, key, data)
        else:
            await asyncio.to_thread(_write_durably, self._folder, key, data)

    async def get(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        """The object's bytes, or a range of them. Raises ObjectMissing."""
        try:
            if length is None:
                return bytes(await (await obstore.get_async(self._store, key)).bytes_async())
            found = await obstore.get_range_async(self._store, key, start=start, length=length)
        except FileNotFoundError:
            raise ObjectMissing(key) from None
        except obstore.exceptions.BaseError as error:
            if await self._is_shorter(key, start + (length or 0)):
                raise ObjectMissing(key) from error
            raise
        if len(found) != length:
            raise ObjectMissing(key)
        return bytes(found)

    async def _is_shorter(self, key: str, size: int) -> bool:
        try:
            return int((await obstore.head_async(self._store, key))["size"]) < size
        except FileNotFoundError:
            return True

    async def list(self, prefix: str) -> AsyncIterator[StoredObject]:
        """The objects under a prefix that ends at a slash, in no order."""
        async for page in obstore.list(self._store, prefix=prefix):
            for found in page:
                yield StoredObject(found["path"], found["size"], found["last_modified"])

    async def delete(self, key: str) -> None:
        """Deletes the object, if it is there."""
        try:
            await obstore.delete_async(self._store, key)
        except FileNotFoundError:
            return


def open_objects(url: str) -> Objects:
    """The store at a URL or at a folder's path; the folder is made if need be.

    "s3://bucket/prefix" takes its endpoint and credentials from the environment, by the names
    that Amazon's own tools use (AWS_ENDPOINT, AWS_ACCESS_KEY_ID, …).
    """
    if "://" in url and not url.startswith("file://"):
        return Objects(from_url(url), None)
    folder = Path(url.removeprefix("file://")).absolute()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return Objects(LocalStore(folder), folder)


def _write_durably(folder: Path, key: str, data: bytes) -> None:
    path = folder / key
    unfinished = folder / UNFINISHED / secrets.token_hex(16)
    changed = _make_folders(unfinished.parent) + _make_folders(path.parent)
    descriptor = os.open(unfinished, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
    # A name is as durable as the folder that holds it, and so on upwards.
    for parent in [path.parent, *changed]:
        _flush_folder(parent)


def _make_folders(folder: Path) -> list[Path]:
    """Makes the folder. Returns the folders above that hold a new name thereby."""
    missing = [each for each in (folder, *folder.parents) if not each.is_dir()]
    for each in reversed(missing):
        each.mkdir(mode=0o700, exist_ok=True)
    return [each.parent for each in missing]


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
