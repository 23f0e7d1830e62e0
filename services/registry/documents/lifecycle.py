"""Revocation and erasure of documents, each with its entry in the log."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from services.registry.documents import store
from services.registry.log.sequencer import Sequencer
from services.registry.log.transparency_log import encode_entry
from services.registry.model.documents import Document, erased_error
from services.registry.model.log_entries import NEWEST_VERSION, erased_entry, revoked_entry
from services.runtime.clock import Clock
from services.runtime.errors import FailedPrecondition, NotFound
from services.runtime.storage.database import Database
from services.runtime.storage.outages import StorageUnavailable

log = logging.getLogger(__name__)


class NothingChanged(Exception):
    """The resource is not in the state that the change needs; read it to see why."""


class DocumentLifecycle:
    """Ends documents. What is returned is durable."""

    def __init__(
        self,
        database: Database,
        sequencer: Sequencer,
        clock: Clock,
        entry_version: int = NEWEST_VERSION,
    ) -> None:
        self._database = database
        self._sequencer = sequencer
        self._clock = clock
        self._entry_version = entry_version

    async def revoke(self, document: Document, reason: str) -> Document:
        """Revoke a document; return it. Revoking again for the same reason changes nothing.

        Raises FailedPrecondition if it was erased, or revoked for another reason.
        """
        now = self._clock()
        revoked = document

        async def revoke(connection: AsyncConnection, indexes: Sequence[int]) -> None:
            nonlocal revoked
            if not await store.revoke_document(
                connection, document.name, time=now, reason=reason, log_index=indexes[0]
            ):
                raise NothingChanged
            revoked = await _find(connection, document.name)

        entry = encode_entry(
            revoked_entry(document.name, document.issuer, now, self._entry_version)
        )
        try:
            await self._sequencer.submit([entry], revoke)
        except NothingChanged:
            return await self._revoked_before(document.name, reason)
        return revoked

    async def _revoked_before(self, name: str, reason: str) -> Document:
        document = await self._present(name)
        if document.erase_time is not None:
            raise erased_error()
        if document.revoke_reason != reason:
            raise FailedPrecondition(
                "DOCUMENT_REVOKED", "the document was revoked for another reason"
            )
        return document

    async def erase(self, document: Document, citation: str) -> Document:
        """Destroy the document's content and everything that could reveal it; return the rest.

        Erasing again changes nothing.
        """
        now = self._clock()
        erased = document

        async def erase(connection: AsyncConnection, indexes: Sequence[int]) -> None:
            nonlocal erased
            if not await store.erase_document(
                connection, document.name, time=now, citation=citation, log_index=indexes[0]
            ):
                raise NothingChanged
            erased = await _find(connection, document.name)

        entry = encode_entry(erased_entry(document.name, document.issuer, now, self._entry_version))
        try:
            await self._sequencer.submit([entry], erase)
        except NothingChanged:
            log.info("a document was erased already", extra={"document": document.name})
            erased = await self._present(document.name)
        await self._purge()
        return erased

    async def _purge(self) -> None:
        """Destroy what was erased in the write-ahead log too, as far as that is possible now.

        The erasure is committed and acknowledged, so a failure here is not the call's: the hourly
        housekeeping tries again, and so does a repeated call.
        """
        try:
            is_purged = await self._database.purge_deleted()
        except StorageUnavailable:
            is_purged = False
        if not is_purged:
            # A reader of older pages, or a full disk, prevents it.
            log.warning("erased data stays in the write-ahead log for now")

    async def _present(self, name: str) -> Document:
        async with self._database.reading() as connection:
            return await _find(connection, name)


async def _find(connection: AsyncConnection, name: str) -> Document:
    document = await store.find_document(connection, name)
    if document is None:
        raise NotFound("there is no such document")
    return document
