"""Contents of documents in the object store: encrypted, packed, addressed by hash.

Every content is encrypted with a random key of its own (AES-256-GCM). That key, wrapped by the
content key from the registry's folder, is kept in the database only, so that deleting its row makes
every copy of the bytes unreadable. Contents that arrive together share one object, written and
flushed once and named by the SHA-256 of its bytes. Objects are written before the transaction that
refers to them; a crash in between leaves an orphan, which collect_orphans deletes later.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from services.registry.contents import store
from services.registry.contents.store import ContentReference
from services.runtime.clock import Clock, Randomness, system_clock, system_randomness
from services.runtime.concurrency.batching import PendingQueue
from services.runtime.sealing import SecretKey
from services.runtime.storage.database import Database
from services.runtime.storage.object_store import UNFINISHED, ObjectMissing, ObjectStore

# The prefix of all objects that hold contents.
PACKS = "packs/"
# A larger content gets an object of its own, which is deleted after the content is erased.
SMALL_BYTES = 256 * 1024
# Contents written and flushed as one object; further ones wait for the next.
PACK_BYTES = 16 * 1024 * 1024
# An object is written seconds before the transaction that refers to it; one without a row after
# this long never gets one.
ORPHAN_AGE = timedelta(hours=1)

_KEY_BYTES = 32
_NONCE_BYTES = 12
# Each document's key encrypts one content once, so its nonce need not differ.
_CONTENT_NONCE = bytes(_NONCE_BYTES)
# Objects looked up in the database at once.
_CHUNK = 500


class ContentLost(Exception):
    """The stored content is missing or was changed. The text names the object only."""


@dataclass(frozen=True, slots=True)
class WrappingKey:
    """The key that wraps the documents' keys, and its id."""

    id: str
    key: bytes

    @classmethod
    def load(cls, path: Path) -> WrappingKey:
        """Read a key from its file, as runtime/sealing.py has it. Raises SecretRefused."""
        key = SecretKey.load(path)
        return cls(key.id, key.secret)

    def wrap(self, key: bytes, randomness: Randomness) -> bytes:
        """Encrypt a document's key (AES-256-GCM): nonce, ciphertext and tag."""
        nonce = randomness(_NONCE_BYTES)
        return nonce + AESGCM(self.key).encrypt(nonce, key, self.id.encode())

    def unwrap(self, wrapped: bytes) -> bytes:
        """Decrypt a wrapped key. Raises InvalidTag."""
        nonce, sealed = wrapped[:_NONCE_BYTES], wrapped[_NONCE_BYTES:]
        return AESGCM(self.key).decrypt(nonce, sealed, self.id.encode())


class Contents:
    """Stores and reads contents. Encrypts, and writes files, in the running loop's thread pool."""

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
        self._queue: PendingQueue[bytes, ContentReference] = PendingQueue(limit=PACK_BYTES)
        self._writer: asyncio.Task[None] | None = None

    async def put_many(self, contents: Sequence[bytes]) -> list[ContentReference]:
        """Return a reference for each content, in order, once all of them are durable.

        Small contents of calls that come while a pack is being written share the next one.
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
        references = self._queue.add(contents, weight=sum(map(len, contents)))
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write_packs())
        return await references

    async def _write_packs(self) -> None:
        while self._queue:
            batch = self._queue.take()
            if not batch.callers:
                continue
            try:
                references = await self._write_pack(batch.requests)
            except Exception as error:
                batch.fail(error)
            else:
                batch.answer(references)

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
        """Read and decrypt a content with that SHA-256. Raises ContentLost."""
        try:
            sealed = await self._objects.get(
                reference.object_key, reference.position, reference.length
            )
        except ObjectMissing:
            raise ContentLost(f"{reference.object_key} is missing") from None
        return await asyncio.to_thread(self.open, reference, sealed, sha256)

    def open(self, reference: ContentReference, sealed: bytes, sha256: bytes) -> bytes:
        """Decrypt a content from its ciphertext, and check its SHA-256. Raises ContentLost."""
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
        """Delete objects older than age that no document refers to; return their number.

        A crash or a failed transaction leaves such objects, and so does the erasure of all
        documents of a pack.
        """
        before = self._clock() - age
        removed = 0
        candidates: list[str] = []
        async for found in self._objects.list(PACKS):
            if found.modified < before:
                candidates.append(found.key)
            if len(candidates) == _CHUNK:
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
        async with database.reading() as connection:
            referenced = await store.find_referenced(connection, keys)
        orphans = [key for key in keys if key not in referenced]
        for key in orphans:
            await self._objects.delete(key)
        return len(orphans)


def object_key_of(data: bytes) -> str:
    """Return the key of an object with these bytes."""
    digest = hashlib.sha256(data).hexdigest()
    # One folder a first byte, so that a folder never holds millions of names.
    return f"{PACKS}{digest[:2]}/{digest[2:]}"
