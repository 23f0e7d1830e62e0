"""A registry's log, contents and sequencer over a fresh database, and nothing above them.

The tests of these rooms and of the audit use it, and so does the writer that the crash test kills:
its entries and rows are the simplest that a database holds. world.py builds the whole service.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from qagazsyz import notes
from qagazsyz.registry.v1 import receipts_pb2
from services.registry.audit.record_audit import Record
from services.registry.contents.packs import Contents, WrappingKey
from services.registry.documents.receipts import receipt_message
from services.registry.log.kept_checkpoint import KeptCheckpoint
from services.registry.log.sequencer import Sequencer
from services.registry.log.transparency_log import LogKey, TransparencyLog, encode_entry
from services.registry.tables import documents, metadata
from services.runtime.storage.database import Database
from services.runtime.storage.object_store import ObjectStore, open_object_store

ORIGIN = "log.qagazsyz.example"
NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
CONTENT_KEY = WrappingKey("content-1", bytes(range(32)))

WITNESS_PRIVATE = Ed25519PrivateKey.from_private_bytes(bytes([9]) * 32)
WITNESS = notes.verifier_key("witness.example", WITNESS_PRIVATE, notes.SignatureType.COSIGNATURE)


def log_key(seed: int = 1, origin: str = ORIGIN) -> LogKey:
    private_key = Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)
    return LogKey(notes.verifier_key(origin, private_key), private_key)


def cosigned(
    checkpoint: bytes,
    *,
    time: int = 1,
    key: notes.VerifierKey = WITNESS,
    private: Ed25519PrivateKey = WITNESS_PRIVATE,
) -> bytes:
    """A witness' note over the checkpoint's tree."""
    note = notes.Note.parse(checkpoint)
    return bytes(notes.Note(note.text, (notes.cosign(note.text, key, private, time),)))


def entry(number: int, **members: object) -> bytes:
    return encode_entry({"v": 1, "event": "tested", "number": number, **members})


def entries(start: int, stop: int) -> list[bytes]:
    return [entry(number) for number in range(start, stop)]


@dataclass(slots=True)
class Ledger:
    """What a registry's process holds of the log and the contents."""

    database: Database
    objects: ObjectStore
    contents: Contents
    sequencer: Sequencer
    transparency_log: TransparencyLog
    key: LogKey

    async def checkpoint(self) -> bytes:
        """The latest checkpoint, as it is served."""
        async with self.database.reading() as connection:
            return await self.transparency_log.checkpoint(connection)

    async def receipt(self, index: int) -> receipts_pb2.Receipt:
        """The receipt of an entry, without openings."""
        async with self.database.reading() as connection:
            (proof,) = await self.transparency_log.prove_inclusion(connection, [index])
        return receipt_message(proof, [])

    async def consistency(self, first_size: int, second_size: int) -> list[bytes]:
        """The proof that the second tree begins with the first."""
        async with self.database.reading() as connection:
            return await self.transparency_log.consistency(connection, first_size, second_size)


async def create_tables(database: Database) -> None:
    async with database.transaction() as connection:
        await connection.run_sync(metadata.create_all)


@asynccontextmanager
async def opened(
    url: str,
    location: Path | str,
    *,
    witnesses: tuple[notes.VerifierKey, ...] = (),
    key: LogKey | None = None,
) -> AsyncIterator[Ledger]:
    """A registry's process on that database; tables that are missing are made."""
    key = key or log_key()
    database = Database(url)
    try:
        await create_tables(database)
        objects = open_object_store(str(location))
        sequencer = Sequencer(database, key, kept=KeptCheckpoint(objects, key))
        await sequencer.start()
        try:
            contents = Contents(objects, CONTENT_KEY)
            transparency_log = TransparencyLog(key, witnesses)
            yield Ledger(database, objects, contents, sequencer, transparency_log, key)
        finally:
            await sequencer.close()
    finally:
        await database.close()


# --- Documents, in their simplest form ---------------------------------------


def members_of(name: str, title: str) -> dict[str, Any]:
    """The members of a document's entry, in these tests."""
    return {"v": 1, "event": "registered", "document": name, "title": title}


def document_row(name: str, content: bytes) -> dict[str, Any]:
    """A row of the documents' table whose entry is the first of its submission."""
    return {
        "name": name,
        "document_type": "documentTypes/one",
        "issuer": "organizations/one",
        "title": f"title of {name}",
        "media_type": "text/plain",
        "size_bytes": len(content),
        "content_sha256": hashlib.sha256(content).digest(),
        "content_salt": None,
        "statement_key": os.urandom(32),
        "verification_code": os.urandom(8).hex(),
        "create_time": NOW,
        "revoke_reason": "",
        "erase_citation": "",
        "log_index": 0,
    }


async def simple_records(connection: AsyncConnection) -> AsyncIterator[Record]:
    """Records whose entry holds the document's name and title."""
    for row in (await connection.execute(select(documents).order_by(documents.c.name))).all():
        yield Record(
            row.name, row.log_index, members_of(row.name, row.title), exact=row.erase_time is None
        )
