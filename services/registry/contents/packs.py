"""Documents' contents outside the database: encrypted, packed, addressed by hash.

Every content is encrypted with a random key of its own (AES-256-GCM), and that
key, wrapped by the content key from the registry's folder, is kept in the
database only: deleting the row makes the bytes unreadable wherever copies of
them lie. Contents that arrive together share one object, written and flushed
once, named by the SHA-256 of its bytes. Objects are written before the
transaction that refers to them; those that no row refers to are removed later
by collect_orphans. A crash in between leaves such an orphan and nothing else.

The interface, for the domain above it:

    contents = Contents(open_object_store(url_or_folder), key, clock=clock)
    references = await contents.put_many([data, ...])    # durable when it returns
    Rows(tables.contents, [reference.row(document_name) for ...])
    reference = await find_reference(connection, document_name)   # None once erased
    data = await contents.get(reference, sha256)         # raises ContentLost
    await erase_reference(connection, document_name)     # inside the erasing transaction
    removed = await contents.collect_orphans(database, age=timedelta(hours=1))
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.registry import tables
from services.runtime.clock import Clock, Randomness, system_clock, system_randomness
from services.runtime.storage.database import Database
from services.runtime.storage.object_store import UNFINISHED, ObjectMissing, ObjectStore

# Where contents lie in the store.
PACKS = "packs/"
# A larger content gets an object of its own, which disappears when it is erased.
SMALL_BYTES = 256 * 1024
# What is written and flushed in one go; more waits for the next pack.
PACK_BYTES = 16 * 1024 * 1024
# An object is written seconds before the transaction that refers to it; what no row
# refers to after this long belongs to no transaction any more.
ORPHAN_AGE = timedelta(hours=1)

_KEY_BYTES = 32
_NONCE_BYTES = 12
# Each document's key encrypts one thing once, so its nonce need not differ.
_CONTENT_NONCE = bytes(_NONCE_BYTES)
# How many objects are looked up in the database at once.
_PAGE = 500


class ContentLost(Exception):
    """The content is not in the store, or is not what was stored. Names the object only."""


@dataclass(frozen=True, slots=True)
class WrappingKey:
    """The key that wraps documents' keys, and its id."""

    id: str
    key: bytes

    @classmethod
    def parse(cls, text: str) -> WrappingKey:
        """The key of a file with one line "<key id> <base64 of 32 bytes>". Raises ValueError."""
        id_, _, encoded = text.strip().partition(" ")
        try:
            key = base64.b64decode(encoded, validate=True)
        except binascii.Error:
            key = b""
        if not id_ or len(key) != _KEY_BYTES:
            raise ValueError("a key file has one line: an id and 32 bytes in base64")
        return cls(id_, key)

    def wrap(self, key: bytes, randomness: Randomness) -> bytes:
        nonce = randomness(_NONCE_BYTES)
        return nonce + AESGCM(self.key).encrypt(nonce, key, self.id.encode())

    def unwrap(self, wrapped: bytes) -> bytes:
        """Raises InvalidTag."""
        nonce, sealed = wrapped[:_NONCE_BYTES], wrapped[_NONCE_BYTES:]
        return AESGCM(self.key).decrypt(nonce, sealed, self.id.encode())


@dataclass(frozen=True, slots=True)
class ContentReference:
    """Where one content lies and what opens it: the columns of tables.contents but the document."""

    object_key: str
    position: int
    length: int
    wrapping_key_id: str
    wrapped_key: bytes

    def row(self, document: str) -> dict[str, Any]:
        """The row of tables.contents for that document."""
        return {
            "document": document,
            "object_key": self.object_key,
            "position": self.position,
            "length": self.length,
            "wrapping_key_id": self.wrapping_key_id,
            "wrapped_key": self.wrapped_key,
        }


@dataclass(slots=True)
class _Waiting:
    contents: Sequence[bytes]
    size: int
    done: asyncio.Future[list[ContentReference]]


class Contents:
    """The contents' store. Uses the running loop's thread pool for encryption and files."""

    def __init__(
        self,
        objects: ObjectStore,
        key: WrappingKey,
        *,
        clock: Clock = system_clock,
        randomness: Randomness = system_randomness,
    ) -> None:
        self._objects = objects
        self._key = key
        self._clock = clock
        self._randomness = randomness
        self._waiting: list[_Waiting] = []
        self._writer: asyncio.Task[None] | None = None

    async def put_many(self, contents: Sequence[bytes]) -> list[ContentReference]:
        """A reference for each content, in order, once all of them are durable.

        Calls that come while a pack is being written share the next one.
        """
        if not contents:
            return []
        large = [i for i, content in enumerate(contents) if len(content) > SMALL_BYTES]
        small = [content for content in contents if len(content) <= SMALL_BYTES]
        own = [asyncio.ensure_future(self._write_pack([contents[i]])) for i in large]
        try:
            packed = await self._put_small(small) if small else []
            alone = [references[0] for references in await asyncio.gather(*own)]
        finally:
            for task in own:
                task.cancel()
        references = iter(packed)
        by_index = dict(zip(large, alone, strict=True))
        return [by_index[i] if i in by_index else next(references) for i in range(len(contents))]

    async def _put_small(self, contents: Sequence[bytes]) -> list[ContentReference]:
        waiting = _Waiting(
            contents, sum(map(len, contents)), asyncio.get_running_loop().create_future()
        )
        self._waiting.append(waiting)
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write_packs())
        return await waiting.done

    async def _write_packs(self) -> None:
        while self._waiting:
            group, size = [self._waiting.pop(0)], 0
            size = group[0].size
            while self._waiting and size + self._waiting[0].size <= PACK_BYTES:
                size += self._waiting[0].size
                group.append(self._waiting.pop(0))
            try:
                references = await self._write_pack(
                    [content for each in group for content in each.contents]
                )
            except Exception as error:
                for each in group:
                    if not each.done.done():
                        each.done.set_exception(error)
                continue
            start = 0
            for each in group:
                stop = start + len(each.contents)
                if not each.done.done():
                    each.done.set_result(references[start:stop])
                start = stop

    async def _write_pack(self, contents: Sequence[bytes]) -> list[ContentReference]:
        pack, references = await asyncio.to_thread(self._encrypt, contents)
        await self._objects.put(references[0].object_key, pack)
        return references

    def _encrypt(self, contents: Sequence[bytes]) -> tuple[bytes, list[ContentReference]]:
        sealed: list[bytes] = []
        wrapped: list[bytes] = []
        for content in contents:
            key = self._randomness(_KEY_BYTES)
            sealed.append(AESGCM(key).encrypt(_CONTENT_NONCE, content, None))
            wrapped.append(self._key.wrap(key, self._randomness))
        pack = b"".join(sealed)
        object_key = object_key_of(pack)
        references: list[ContentReference] = []
        position = 0
        for ciphertext, wrapped_key in zip(sealed, wrapped, strict=True):
            references.append(
                ContentReference(object_key, position, len(ciphertext), self._key.id, wrapped_key)
            )
            position += len(ciphertext)
        return pack, references

    async def get(self, reference: ContentReference, sha256: bytes) -> bytes:
        """The content. Raises ContentLost where it is missing or not what was stored."""
        try:
            sealed = await self._objects.get(
                reference.object_key, reference.position, reference.length
            )
        except ObjectMissing:
            raise ContentLost(f"{reference.object_key} is missing") from None
        return await asyncio.to_thread(self.open, reference, sealed, sha256)

    def open(self, reference: ContentReference, sealed: bytes, sha256: bytes) -> bytes:
        """The content in its ciphertext. Raises ContentLost."""
        if reference.wrapping_key_id != self._key.id:
            raise ContentLost(f"{reference.object_key} is under another content key")
        try:
            key = self._key.unwrap(reference.wrapped_key)
            content = AESGCM(key).decrypt(_CONTENT_NONCE, sealed, None)
        except (InvalidTag, ValueError):
            raise ContentLost(f"{reference.object_key} was changed") from None
        if hashlib.sha256(content).digest() != sha256:
            raise ContentLost(f"{reference.object_key} holds another content")
        return content

    async def collect_orphans(self, database: Database, age: timedelta = ORPHAN_AGE) -> int:
        """Deletes objects older than age that no document refers to. Returns how many.

        That is what a crash left behind, what a failed transaction had written, and packs
        all of whose documents were erased.
        """
        before = self._clock() - age
        removed = 0
        candidates: list[str] = []
        async for found in self._objects.list(PACKS):
            if found.modified < before:
                candidates.append(found.key)
            if len(candidates) == _PAGE:
                removed += await self._delete_unreferenced(database, candidates)
                candidates = []
        removed += await self._delete_unreferenced(database, candidates)
        async for found in self._objects.list(UNFINISHED):
            if found.modified < before:
                await self._objects.delete(found.key)
                removed += 1
        return removed

    async def _delete_unreferenced(self, database: Database, keys: Sequence[str]) -> int:
        if not keys:
            return 0
        column = tables.contents.c.object_key
        async with database.reading() as connection:
            rows = await connection.execute(select(column).where(column.in_(keys)).distinct())
            referenced = set(rows.scalars())
        orphans = [key for key in keys if key not in referenced]
        for key in orphans:
            await self._objects.delete(key)
        return len(orphans)


def object_key_of(data: bytes) -> str:
    """The name of an object with these bytes."""
    digest = hashlib.sha256(data).hexdigest()
    # Folders by the first byte, so that none holds millions of names.
    return f"{PACKS}{digest[:2]}/{digest[2:]}"


async def find_reference(connection: AsyncConnection, document: str) -> ContentReference | None:
    """Where the document's content is, or None after it was erased."""
    statement = select(tables.contents).where(tables.contents.c.document == document)
    row = (await connection.execute(statement)).one_or_none()
    return None if row is None else reference_of(row)


def reference_of(row: Any) -> ContentReference:
    """The reference in a row of tables.contents."""
    return ContentReference(
        object_key=row.object_key,
        position=row.position,
        length=row.length,
        wrapping_key_id=row.wrapping_key_id,
        wrapped_key=bytes(row.wrapped_key),
    )


async def erase_reference(connection: AsyncConnection, document: str) -> None:
    """Destroys the key of the document's content, once the transaction commits."""
    await connection.execute(delete(tables.contents).where(tables.contents.c.document == document))
