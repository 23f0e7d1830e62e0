"""Contents of documents, read and decrypted."""

from __future__ import annotations

import logging

from services.registry.contents import store as content_store
from services.registry.contents.packs import ContentLost, Contents
from services.registry.model.documents import Document, erased_error
from services.runtime.errors import Unavailable
from services.runtime.storage.database import Database

log = logging.getLogger(__name__)


class ContentReader:
    """Reads the contents of documents that the caller may see."""

    def __init__(self, database: Database, contents: Contents) -> None:
        self._database = database
        self._contents = contents

    async def read(self, document: Document) -> bytes:
        """Return the content. Raises FailedPrecondition if the document was erased, and Unavailable
        if its content is missing or damaged."""
        async with self._database.reading() as connection:
            reference = await content_store.find_reference(connection, document.name)
        if document.erase_time is not None or reference is None:
            raise erased_error()
        try:
            return await self._contents.get(reference, document.content_sha256)
        except ContentLost:
            log.error("a document's content is lost", extra={"document": document.name})
            raise Unavailable("the content cannot be read now") from None
