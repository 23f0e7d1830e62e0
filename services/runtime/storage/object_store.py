"""Object storage: immutable objects by key, in a folder or in S3 (obstore), durable once put.

An S3 store keeps the objects that it has acknowledged; obstore's driver for a folder renames a
file into place without an fsync. So this module writes a folder's files itself - flush the file,
rename it, flush its folder - and reads, lists and deletes them through obstore, as in S3.
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
from obstore.store import LocalStore, from_url
from obstore.store import ObjectStore as Backend

from services.runtime.storage.outages import storage_outages

# Where a folder's files are written before they are renamed into place. A crash leaves half-written
# files here only, under names that nothing refers to.
UNFINISHED = "unfinished/"


# What callers hear of an outage.
UNAVAILABLE = "the object store cannot be used now"
# What check() writes.
PROBE = "readiness"


class ObjectMissing(Exception):
    """No object has that key, or it is shorter than the requested range."""


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An entry of a listing."""

    key: str
    size: int
    modified: datetime


class ObjectStore:
    """Immutable objects by key. Every method raises StorageUnavailable where the store fails."""

    def __init__(self, backend: Backend, folder: Path | None) -> None:
        """folder: set if the backend is a local folder, whose files this class writes itself."""
        self._backend = backend
        self._folder = folder
        self._last_write_failed = False

    async def put(self, key: str, data: bytes) -> None:
        """Write the object; return once it is durable. An object of the same key is replaced."""
        with storage_outages(UNAVAILABLE):
            try:
                if self._folder is None:
                    await obstore.put_async(self._backend, key, data)
                else:
                    await asyncio.to_thread(_write_durably, self._folder, key, data)
            except Exception:
                self._last_write_failed = True
                raise
        self._last_write_failed = False

    async def check(self) -> None:
        """Raise StorageUnavailable if the last write failed and a small one fails too."""
        if self._last_write_failed:
            await self.put(PROBE, b"")

    async def get(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        """Return the object's bytes, or a range of them. Raises ObjectMissing."""
        with storage_outages(UNAVAILABLE):
            return await self._get(key, start, length)

    async def _get(self, key: str, start: int, length: int | None) -> bytes:
        try:
            if length is None:
                return bytes(await (await obstore.get_async(self._backend, key)).bytes_async())
            found = await obstore.get_range_async(self._backend, key, start=start, length=length)
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
            return int((await obstore.head_async(self._backend, key))["size"]) < size
        except FileNotFoundError:
            return True

    async def list(self, prefix: str) -> AsyncIterator[StoredObject]:
        """List the objects under a prefix, which ends at a slash, in no order."""
        with storage_outages(UNAVAILABLE):
            async for page in obstore.list(self._backend, prefix=prefix):
                for found in page:
                    yield StoredObject(found["path"], found["size"], found["last_modified"])

    async def delete(self, key: str) -> None:
        """Delete the object; one that does not exist is deleted already."""
        with storage_outages(UNAVAILABLE):
            try:
                await obstore.delete_async(self._backend, key)
            except FileNotFoundError:
                return


def open_object_store(url: str) -> ObjectStore:
    """Open the store at a URL or at a folder's path, and make a missing folder.

    "s3://bucket/prefix" takes its endpoint and credentials from the environment, by the names of
    Amazon's own tools (AWS_ENDPOINT, AWS_ACCESS_KEY_ID, …).
    """
    if "://" in url and not url.startswith("file://"):
        return ObjectStore(from_url(url), None)
    folder = Path(url.removeprefix("file://")).absolute()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return ObjectStore(LocalStore(folder), folder)


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
    # A name is as durable as the folder that lists it, up to the root.
    for parent in [path.parent, *changed]:
        _flush_folder(parent)


def _make_folders(folder: Path) -> list[Path]:
    """Make the folder and its missing parents; return the folders that list a new name."""
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
