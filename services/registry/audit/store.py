"""The audit's SQL: every record, page by page, and every content, object by object."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, Table, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.registry.contents.store import ContentReference, reference_of
from services.registry.delegation.store import list_in_order as list_events
from services.registry.documents.store import documents_of, find_types, list_type_changes
from services.registry.identity_events.store import list_in_order
from services.registry.lookups.store import accesses_of, consent_of
from services.registry.model.accesses import Access
from services.registry.model.consents import Consent
from services.registry.model.document_types import DocumentType, TypeChange
from services.registry.model.documents import Document
from services.registry.model.identity_events import IdentityEvent
from services.registry.model.request_events import RequestEvent
from services.registry.tables import accesses, consents, contents, documents, type_changes

# Records read at once, with everything that belongs to them.
_CHUNK = 500


@dataclass(frozen=True, slots=True)
class StoredContent:
    """A row of the contents' table, and the hash that its document has."""

    document: str
    reference: ContentReference
    # None if the document does not exist or was erased: then the row should not exist either.
    content_sha256: bytes | None


async def stream_documents(
    connection: AsyncConnection,
) -> AsyncIterator[tuple[Document, bytes | None]]:
    """Yield every document with its statement key, by name."""
    async for rows in _pages(connection, documents):
        keys = {row.name: row.statement_key for row in rows}
        for document in await documents_of(connection, rows):
            key = keys[document.name]
            yield document, None if key is None else bytes(key)


async def stream_consents(connection: AsyncConnection) -> AsyncIterator[Consent]:
    """Yield every consent, by name."""
    async for rows in _pages(connection, consents):
        for row in rows:
            yield consent_of(row)


async def stream_accesses(connection: AsyncConnection) -> AsyncIterator[Access]:
    """Yield every access, by name."""
    async for rows in _pages(connection, accesses):
        for access in await accesses_of(connection, rows):
            yield access


async def stream_type_changes(
    connection: AsyncConnection,
) -> AsyncIterator[tuple[TypeChange, bool, DocumentType | None]]:
    """Yield every change of a type, in the log's order, whether it is the newest of its type, and
    the type as it is now, if it exists."""
    statement = select(func.max(type_changes.c.log_index)).group_by(type_changes.c.document_type)
    newest = set((await connection.execute(statement)).scalars())
    last = -1
    while changes := await list_type_changes(connection, after=last, limit=_CHUNK):
        last = changes[-1].log_index
        types = await find_types(connection, {each.document_type for each in changes})
        for change in changes:
            yield change, change.log_index in newest, types.get(change.document_type)


async def stream_identity_events(connection: AsyncConnection) -> AsyncIterator[IdentityEvent]:
    """Yield every event of identity, in order."""
    last = 0
    while events := await list_in_order(connection, after=last, limit=_CHUNK):
        last = events[-1].number
        for event in events:
            yield event


async def stream_request_events(connection: AsyncConnection) -> AsyncIterator[RequestEvent]:
    """Yield every change of a request, in the log's order."""
    last = -1
    while events := await list_events(connection, after=last, limit=_CHUNK):
        last = events[-1].log_index
        for event in events:
            yield event


async def find_documents_without_content(connection: AsyncConnection) -> list[str]:
    """Return the names of documents that were not erased, and have no row of a content."""
    statement = (
        select(documents.c.name)
        .where(
            documents.c.erase_time.is_(None),
            ~select(1).where(contents.c.document == documents.c.name).exists(),
        )
        .order_by(documents.c.name)
    )
    return list((await connection.execute(statement)).scalars())


async def stream_contents(connection: AsyncConnection) -> AsyncIterator[StoredContent]:
    """Yield every content, by object and position in it."""
    statement = (
        select(documents.c.content_sha256, documents.c.erase_time, contents)
        .select_from(contents.outerjoin(documents, documents.c.name == contents.c.document))
        .order_by(contents.c.object_key, contents.c.position)
    )
    async for row in await connection.stream(statement):
        is_due = row.content_sha256 is not None and row.erase_time is None
        content_sha256 = bytes(row.content_sha256) if is_due else None
        yield StoredContent(row.document, reference_of(row), content_sha256)


async def _pages(connection: AsyncConnection, table: Table) -> AsyncIterator[Sequence[Row[Any]]]:
    name = table.c.name
    last = ""
    while True:
        statement = select(table).where(name > last).order_by(name).limit(_CHUNK)
        rows = (await connection.execute(statement)).all()
        if not rows:
            return
        yield rows
        last = rows[-1].name
