"""The contents' SQL: the object of each document's content, and the only copy of its key."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.registry.tables import contents


@dataclass(frozen=True, slots=True)
class ContentReference:
    """Where one content lies, and the wrapped key that decrypts it."""

    object_key: str
    position: int
    # Of the ciphertext, with its tag.
    length: int
    wrapping_key_id: str
    wrapped_key: bytes


def content_row(document: str, reference: ContentReference) -> dict[str, Any]:
    """Return the row of a document's content, for the insert of its registration."""
    return {
        "document": document,
        "object_key": reference.object_key,
        "position": reference.position,
        "length": reference.length,
        "wrapping_key_id": reference.wrapping_key_id,
        "wrapped_key": reference.wrapped_key,
    }


def reference_of(row: Row[Any]) -> ContentReference:
    """Return the reference in a row of the contents' table."""
    return ContentReference(
        object_key=row.object_key,
        position=row.position,
        length=row.length,
        wrapping_key_id=row.wrapping_key_id,
        wrapped_key=bytes(row.wrapped_key),
    )


async def find_reference(connection: AsyncConnection, document: str) -> ContentReference | None:
    """Return the reference of a document's content, None after it was erased."""
    statement = select(contents).where(contents.c.document == document)
    row = (await connection.execute(statement)).one_or_none()
    return None if row is None else reference_of(row)


async def find_referenced(connection: AsyncConnection, object_keys: Collection[str]) -> set[str]:
    """Return those of the objects that a document refers to."""
    column = contents.c.object_key
    statement = select(column).where(column.in_(object_keys)).distinct()
    return set((await connection.execute(statement)).scalars())


async def erase_reference(connection: AsyncConnection, document: str) -> None:
    """Destroy the key of the document's content, once the transaction commits."""
    await connection.execute(delete(contents).where(contents.c.document == document))
