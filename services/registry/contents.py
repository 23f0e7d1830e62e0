"""Documents' contents outside the database: encrypted, packed, addressed by hash.

Every content is encrypted with a random key of its own (AES-256-GCM), and that
key, wrapped by the content key from the registry's folder, is kept in the
database only: deleting the row makes the bytes unreadable wherever copies of
them lie. Contents that arrive together share one object, written and flushed
once, named by the SHA-256 of its bytes. Objects are written before the
transaction that refers to them; those that no row refers to are removed later
by collect_orphans. A crash in between leaves such an orphan and nothing else.

The interface, for the domain above it:

    contents = Contents(open_store(url_or_folder), key=..., clock=...)
    references = await contents.put_many([data, ...])    # durable when it returns
    Rows(tables.contents, [reference.row(document_name) for ...])
    reference = await find_reference(connection, document_name)   # None once erased
    data = await contents.get(reference, sha256)         # raises ContentLost
    await erase_reference(connection, document_name)     # inside the erasing transaction
    removed = await contents.collect_orphans(database, age=timedelta(hours=1))
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection


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
        raise NotImplementedError


class Contents:
    """The contents' store."""

    async def put_many(self, contents: Sequence[bytes]) -> list[ContentReference]:
        """A reference for each content, in order, once all of them are durable."""
        raise NotImplementedError

    async def get(self, reference: ContentReference, sha256: bytes) -> bytes:
        """The content. Raises ContentLost where it is missing or not what was stored."""
        raise NotImplementedError


async def find_reference(connection: AsyncConnection, document: str) -> ContentReference | None:
    """Where the document's content is, or None after it was erased."""
    raise NotImplementedError


async def erase_reference(connection: AsyncConnection, document: str) -> None:
    """Destroys the key of the document's content, once the transaction commits."""
    raise NotImplementedError
