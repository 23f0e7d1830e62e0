"""Creation and change of document types."""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy.ext.asyncio import AsyncConnection

from services.registry.documents import store
from services.registry.documents.interface import Directory, check_organizations
from services.registry.model.document_types import DocumentType, check_document_type, etag_of
from services.registry.model.resource_names import check_name
from services.runtime.errors import Aborted
from services.runtime.server import Call
from services.runtime.storage.database import Database
from services.runtime.storage.kept_requests import RequestKey


class TypeAdministration:
    """Stores types, once everything in them is checked, and each request once."""

    def __init__(self, database: Database, directory: Directory) -> None:
        self._database = database
        self._directory = directory

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
        during: Call | None,
    ) -> DocumentType:
        """Store a new type; return it with its etag. Raises InvalidArgument and AlreadyExists."""
        checked = await self._checked(document_type, during)

        async def work(connection: AsyncConnection) -> None:
            await store.insert_type(connection, checked)
            await store.keep_request(connection, request, request_sha256, checked.name)

        await self._database.run(work)
        return checked

    async def update(
        self,
        document_type: DocumentType,
        etag: str,
        *,
        request: RequestKey | None,
        request_sha256: bytes,
        during: Call | None,
    ) -> DocumentType:
        """Store a changed type in place of the one with that etag; return it with its new one.

        Raises InvalidArgument, and Aborted if the stored type has another etag.
        """
        checked = await self._checked(document_type, during)

        async def work(connection: AsyncConnection) -> bool:
            if not await store.update_type(connection, checked, etag):
                return False
            await store.keep_request(connection, request, request_sha256, checked.name)
            return True

        if not await self._database.run(work):
            raise Aborted("the type was changed since it was read")
        return checked

    async def _checked(self, document_type: DocumentType, during: Call | None) -> DocumentType:
        check_document_type(document_type)
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
        return replace(document_type, etag=etag_of(document_type))
