"""Creation and change of document types, each with its entry in the log.

New legal bases let organizations read without consent, so they take two operators, unless the
platform never had a second one; identity knows (Operators).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy.ext.asyncio import AsyncConnection

from services.registry.documents import store
from services.registry.documents.interface import Directory, Operators, check_organizations
from services.registry.log.group_commit import Apply, Conflict
from services.registry.log.sequencer import Sequencer
from services.registry.log.transparency_log import encode_entry
from services.registry.model.document_types import (
    DocumentType,
    LegalBasis,
    approve,
    await_second,
    change_of,
    check_document_type,
    etag_of,
    has_new_bases,
    not_pending,
)
from services.registry.model.log_entries import NEWEST_VERSION, type_changed_entry
from services.registry.model.resource_names import check_name
from services.runtime.clock import Clock
from services.runtime.errors import Aborted, InvalidArgument, PermissionDenied, Unavailable
from services.runtime.server import Call
from services.runtime.storage.database import Database
from services.runtime.storage.kept_requests import RequestKey


class TypeAdministration:
    """Stores types, once everything in them is checked, and each request once."""

    def __init__(
        self,
        database: Database,
        sequencer: Sequencer,
        directory: Directory,
        operators: Operators,
        clock: Clock,
        entry_version: int = NEWEST_VERSION,
    ) -> None:
        self._database = database
        self._sequencer = sequencer
        self._directory = directory
        self._operators = operators
        self._clock = clock
        self._entry_version = entry_version

    async def find_kept(
        self, request: RequestKey | None, request_sha256: bytes
    ) -> DocumentType | None:
        """Return the type as it is that the same request created or changed, or None.

        Raises AlreadyExists if the request_id was used for another request.
        """
        if request is None:
            return None
        async with self._database.reading() as connection:
            name = await store.kept_requests.find_result(connection, request, request_sha256)
            return None if name is None else await store.find_type(connection, name)

    async def create(
        self,
        document_type: DocumentType,
        *,
        request: RequestKey | None,
        request_sha256: bytes,
        during: Call,
    ) -> DocumentType:
        """Store a new type; return it with its etag. Raises InvalidArgument and AlreadyExists."""
        checked = await self._checked(document_type, (), during)

        async def insert(connection: AsyncConnection, _indexes: Sequence[int]) -> None:
            await store.insert_type(connection, checked)
            await store.keep_request(connection, request, request_sha256, checked.name)

        await self._submit(checked, insert)
        return checked

    async def update(
        self,
        document_type: DocumentType,
        present: DocumentType,
        *,
        request: RequestKey | None,
        request_sha256: bytes,
        during: Call,
    ) -> DocumentType:
        """Store a changed type in place of the present one; return it with its new etag.

        Raises InvalidArgument, and Aborted if the stored type is no longer the present one.
        """
        checked = await self._checked(document_type, present.legal_bases, during)
        return await self._replace(checked, present.etag, request, request_sha256)

    async def approve(
        self,
        present: DocumentType,
        *,
        request: RequestKey | None,
        request_sha256: bytes,
        during: Call,
    ) -> DocumentType:
        """Store the present type with the legal bases that waited for the caller's approval.

        Raises FailedPrecondition, PermissionDenied, and Aborted as update.
        """
        pending = present.pending_at(self._clock())
        if pending is None:
            raise not_pending()
        caller = during.caller
        if caller.subject == pending.proposer or not await self._operators.may_approve(
            pending.proposer, caller.subject, caller.certificate, during
        ):
            raise PermissionDenied
        approved = approve(present, pending)
        approved = replace(approved, etag=etag_of(approved))
        return await self._replace(approved, present.etag, request, request_sha256)

    async def _replace(
        self,
        document_type: DocumentType,
        etag: str,
        request: RequestKey | None,
        request_sha256: bytes,
    ) -> DocumentType:
        async def update(connection: AsyncConnection, _indexes: Sequence[int]) -> None:
            if not await store.update_type(connection, document_type, etag):
                raise Aborted("the type was changed since it was read")
            await store.keep_request(connection, request, request_sha256, document_type.name)

        await self._submit(document_type, update)
        return document_type

    async def _submit(self, document_type: DocumentType, apply: Apply) -> None:
        """Change the type, and log it from version 2 of the entries on."""
        entries, rows = [], []
        if self._entry_version > 1:
            change = change_of(document_type, self._clock())
            entries.append(encode_entry(type_changed_entry(change)))
            rows.append(store.type_change_row(change))
        try:
            await self._sequencer.submit(entries, apply, rows=rows)
        except Conflict:
            # Its request is being kept by another call at this moment.
            raise Unavailable("the type could not be stored; retry") from None

    async def _checked(
        self, document_type: DocumentType, present: tuple[LegalBasis, ...], during: Call
    ) -> DocumentType:
        """Return the type with its etag, its new legal bases waiting if they have to.

        present: the legal bases that look-ups rest on already.
        """
        check_document_type(document_type)
        self._check_has_entry(document_type)
        named = {
            f"document_type.issuers[{index}]": issuer
            for index, issuer in enumerate(document_type.issuers)
        } | {
            f"document_type.legal_bases[{index}].organization": basis.organization
            for index, basis in enumerate(document_type.legal_bases)
        }
        for field, name in named.items():
            check_name(name, "subjects", field)
        await check_organizations(self._directory, named, during)
        if has_new_bases(document_type, present) and await self._operators.second_existed(during):
            proposer, now = during.caller.subject, self._clock()
            document_type = await_second(document_type, present, proposer, now)
        return replace(document_type, etag=etag_of(document_type))

    def _check_has_entry(self, document_type: DocumentType) -> None:
        """Check that an entry can tell of all legal bases, those that are to wait included."""
        try:
            encode_entry(type_changed_entry(change_of(document_type, self._clock())))
        except ValueError:
            raise InvalidArgument(
                "document_type.legal_bases", "with the issuers too long for an entry of the log"
            ) from None
