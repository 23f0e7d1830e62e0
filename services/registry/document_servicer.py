"""DocumentService: types, registration, reading, look-ups, checks, revocation and erasure."""

from __future__ import annotations

from dataclasses import replace

from google.api import httpbody_pb2

from qagazsyz.registry.v1 import documents_pb2, receipts_pb2
from services.registry.documents import store
from services.registry.documents.content_reader import ContentReader
from services.registry.documents.lifecycle import DocumentLifecycle
from services.registry.documents.receipts import read_receipts
from services.registry.documents.registration import Registration
from services.registry.documents.requests import (
    CITATION_LENGTH,
    REASON_LENGTH,
    ParsedRegistration,
    parse_batch,
    parse_check,
    parse_document_type,
    parse_registration,
    parse_type_changes,
)
from services.registry.documents.type_administration import TypeAdministration
from services.registry.log.transparency_log import TransparencyLog
from services.registry.lookups.lookups import LookUps
from services.registry.lookups.requests import parse_attribute_look_up, parse_look_up
from services.registry.lookups.store import find_access
from services.registry.messages import (
    attribute_message,
    check_message,
    document_message,
    document_type_message,
)
from services.registry.model.accesses import Access, LookUp
from services.registry.model.attributes import Attribute, parse_content, value_at
from services.registry.model.document_types import DocumentType, name_of
from services.registry.model.documents import (
    Document,
    is_issuer,
    is_subject,
    may_download,
    may_read,
)
from services.registry.model.log_entries import content_opening, document_openings
from services.registry.model.resource_names import check_name, check_text
from services.runtime import telemetry
from services.runtime.access import Role
from services.runtime.clock import Clock
from services.runtime.errors import (
    Aborted,
    DomainError,
    InvalidArgument,
    NotFound,
    PermissionDenied,
)
from services.runtime.server import Call
from services.runtime.status import status_of
from services.runtime.storage.database import Database
from services.runtime.storage.idempotency import fingerprint, read_request_key

# A content may be registered as several documents; a check shows the newest.
CHECKS_LIMIT = 100


class DocumentServicer:
    """The contract's DocumentService."""

    def __init__(
        self,
        *,
        database: Database,
        transparency_log: TransparencyLog,
        types: TypeAdministration,
        registration: Registration,
        lifecycle: DocumentLifecycle,
        look_ups: LookUps,
        content_reader: ContentReader,
        clock: Clock,
    ) -> None:
        self._database = database
        self._log = transparency_log
        self._types = types
        self._registration = registration
        self._lifecycle = lifecycle
        self._look_ups = look_ups
        self._content_reader = content_reader
        self._clock = clock

    # --- Types ---------------------------------------------------------------

    async def CreateDocumentType(
        self, request: documents_pb2.CreateDocumentTypeRequest, call: Call
    ) -> documents_pb2.DocumentType:
        name = name_of(request.document_type_id)
        document_type = parse_document_type(request.document_type, name)
        key = read_request_key("CreateDocumentType", call.caller.scope, request.request_id)
        asked = fingerprint(request)
        created = await self._types.find_kept(key, asked) or await self._types.create(
            document_type, request=key, request_sha256=asked, during=call
        )
        return document_type_message(created, self._clock())

    async def UpdateDocumentType(
        self, request: documents_pb2.UpdateDocumentTypeRequest, call: Call
    ) -> documents_pb2.DocumentType:
        name = check_name(request.document_type.name, "documentTypes", "document_type.name")
        key = read_request_key("UpdateDocumentType", call.caller.scope, request.request_id)
        asked = fingerprint(request)
        kept = await self._types.find_kept(key, asked)
        if kept is not None:
            return document_type_message(kept, self._clock())
        present = await self._find_type(name)
        if request.document_type.etag not in ("", present.etag):
            raise Aborted("the type was changed since it was read")
        changes = parse_type_changes(request)
        if "legal_bases" in changes:
            # They take the place of what waits.
            changes["pending"] = None
        updated = await self._types.update(
            replace(present, **changes), present, request=key, request_sha256=asked, during=call
        )
        return document_type_message(updated, self._clock())

    async def ApproveLegalBases(
        self, request: documents_pb2.ApproveLegalBasesRequest, call: Call
    ) -> documents_pb2.DocumentType:
        name = check_name(request.name, "documentTypes", "name")
        key = read_request_key("ApproveLegalBases", call.caller.scope, request.request_id)
        asked = fingerprint(request)
        kept = await self._types.find_kept(key, asked)
        if kept is not None:
            return document_type_message(kept, self._clock())
        present = await self._find_type(name)
        if request.etag != present.etag:
            raise Aborted("the type was changed since it was read")
        approved = await self._types.approve(
            present, request=key, request_sha256=asked, during=call
        )
        return document_type_message(approved, self._clock())

    async def GetDocumentType(
        self, request: documents_pb2.GetDocumentTypeRequest, _call: Call
    ) -> documents_pb2.DocumentType:
        return document_type_message(await self._find_type(request.name), self._clock())

    async def ListDocumentTypes(
        self, request: documents_pb2.ListDocumentTypesRequest, call: Call
    ) -> documents_pb2.ListDocumentTypesResponse:
        page = call.page(request)
        async with self._database.reading() as connection:
            found = await store.list_types(connection, page.after, page.limit)
        shown, next_page_token = page.cut(found, key=lambda each: each.name)
        now = self._clock()
        return documents_pb2.ListDocumentTypesResponse(
            document_types=[document_type_message(each, now) for each in shown],
            next_page_token=next_page_token,
        )

    async def _find_type(self, name: str) -> DocumentType:
        async with self._database.reading() as connection:
            document_type = await store.find_type(connection, name)
        if document_type is None:
            raise NotFound("there is no such document type")
        return document_type

    # --- Registration --------------------------------------------------------

    async def RegisterDocument(
        self, request: documents_pb2.RegisterDocumentRequest, call: Call
    ) -> documents_pb2.Document:
        registration = parse_registration(request, call.caller, self._clock())
        (outcome,) = await self._registration.register([registration], call)
        if isinstance(outcome, DomainError):
            raise outcome
        return document_message(outcome, self._clock())

    async def BatchRegisterDocuments(
        self, request: documents_pb2.BatchRegisterDocumentsRequest, call: Call
    ) -> documents_pb2.BatchRegisterDocumentsResponse:
        parsed = parse_batch(request, call.caller, self._clock())
        outcomes = iter(
            await self._registration.register(
                [each for each in parsed if isinstance(each, ParsedRegistration)], call
            )
        )
        response = documents_pb2.BatchRegisterDocumentsResponse()
        failed = 0
        now = self._clock()
        for each in parsed:
            outcome = next(outcomes) if isinstance(each, ParsedRegistration) else each
            if isinstance(outcome, DomainError):
                failed += 1
                response.results.add(error=status_of(outcome))
            else:
                response.results.add(document=document_message(outcome, now))
        telemetry.annotate(documents=len(parsed), documents_failed=failed)
        return response

    # --- Reading -------------------------------------------------------------

    async def GetDocument(
        self, request: documents_pb2.GetDocumentRequest, call: Call
    ) -> documents_pb2.Document:
        document = await self._find_readable(request.name, request.access, call)
        return document_message(document, self._clock())

    async def GetReceipt(
        self, request: documents_pb2.GetReceiptRequest, call: Call
    ) -> receipts_pb2.Receipt:
        document = await self._find_readable(request.document, request.access, call, "document")
        wanted = [(document.log_index, document_openings(document))]
        async with self._database.reading() as connection:
            (receipt,) = await read_receipts(connection, self._log, wanted)
        return receipt

    async def DownloadDocument(
        self, request: documents_pb2.DownloadDocumentRequest, call: Call
    ) -> httpbody_pb2.HttpBody:
        check_name(request.name, "documents", "name")
        document, look_up = await self._find_with_access(request.name, request.access)
        if document is None or not may_download(call.caller, document, look_up, self._clock()):
            raise PermissionDenied
        content = await self._content_reader.read(document)
        if not is_subject(call.caller, document):
            await self._look_ups.record_download(document, call.caller, look_up)
        # No browser may run the content, whatever its media type.
        call.set_header("content-disposition", "attachment")
        call.set_header("x-content-type-options", "nosniff")
        return httpbody_pb2.HttpBody(content_type=document.media_type, data=content)

    async def ListDocuments(
        self, request: documents_pb2.ListDocumentsRequest, call: Call
    ) -> documents_pb2.ListDocumentsResponse:
        caller = call.caller
        subject = request.subject and check_name(request.subject, "subjects", "subject")
        if request.document_type:
            check_name(request.document_type, "documentTypes", "document_type")
        issuer = ""
        if caller.has(Role.ROLE_OFFICER):
            issuer = caller.organization
        elif not caller.has(Role.ROLE_AUDITOR):
            if subject not in ("", caller.subject):
                raise PermissionDenied
            subject = caller.subject
        page = call.page(request, issuer, subject, request.document_type)
        async with self._database.reading() as connection:
            found = await store.list_documents(
                connection,
                subject=subject,
                issuer=issuer,
                document_type=request.document_type,
                before=page.after,
                limit=page.limit,
            )
        shown, next_page_token = page.cut(found, key=lambda each: each.name)
        now = self._clock()
        return documents_pb2.ListDocumentsResponse(
            documents=[document_message(each, now) for each in shown],
            next_page_token=next_page_token,
        )

    async def _find_readable(
        self, name: str, access: str, call: Call, field: str = "name"
    ) -> Document:
        """Return the document, if the caller may read it.

        Raises PermissionDenied whether or not it exists; NotFound for auditors, who may read all.
        """
        check_name(name, "documents", field)
        document, look_up = await self._find_with_access(name, access)
        if document is None:
            if call.caller.has(Role.ROLE_AUDITOR):
                raise NotFound("there is no such document")
            raise PermissionDenied
        if not may_read(call.caller, document, look_up, self._clock()):
            raise PermissionDenied
        return document

    async def _find_with_access(
        self, name: str, access: str
    ) -> tuple[Document | None, Access | None]:
        """Return the document and the access record that the caller named, if they exist."""
        if access:
            check_name(access, "accesses", "access")
        async with self._database.reading() as connection:
            look_up = await find_access(connection, access) if access else None
            return await store.find_document(connection, name), look_up

    # --- Look-ups ------------------------------------------------------------

    async def LookUpDocuments(
        self, request: documents_pb2.LookUpDocumentsRequest, call: Call
    ) -> documents_pb2.LookUpDocumentsResponse:
        look_up = parse_look_up(request, call.caller)
        key = read_request_key("LookUpDocuments", look_up.organization, request.request_id)
        found = await self._look_ups.look_up(look_up, key)
        now = self._clock()
        return documents_pb2.LookUpDocumentsResponse(
            documents=[document_message(each, now) for each in found.documents],
            access=found.access.name,
        )

    async def LookUpAttribute(
        self, request: documents_pb2.LookUpAttributeRequest, call: Call
    ) -> documents_pb2.LookUpAttributeResponse:
        look_up = parse_attribute_look_up(request, call.caller)
        declared = await self._find_declared(look_up)
        key = read_request_key("LookUpAttribute", look_up.organization, request.request_id)
        found = await self._look_ups.look_up(look_up, key)
        response = documents_pb2.LookUpAttributeResponse(access=found.access.name)
        for document in found.documents:
            members = parse_content(await self._content_reader.read(document))
            response.document = document.name
            response.document_create_time.FromDatetime(document.create_time)
            response.values.extend(
                attribute_message(attribute, value_at(members, attribute)) for attribute in declared
            )
        return response

    async def _find_declared(self, look_up: LookUp) -> list[Attribute]:
        """Return the attributes of a look-up. Raises InvalidArgument for one that the type does not
        declare: types are public, and only declared pointers may come into the log."""
        async with self._database.reading() as connection:
            document_type = await store.find_type(connection, look_up.document_type)
        declared = []
        for index, pointer in enumerate(look_up.attributes):
            attribute = document_type.attribute(pointer) if document_type else None
            if attribute is None:
                raise InvalidArgument(f"attributes[{index}]", "the type declares no such attribute")
            declared.append(attribute)
        return declared

    # --- Checks --------------------------------------------------------------

    async def CheckDocument(
        self, request: documents_pb2.CheckDocumentRequest, _call: Call
    ) -> documents_pb2.CheckDocumentResponse:
        by = parse_check(request)
        async with self._database.reading() as connection:
            if isinstance(by, bytes):
                found = await store.find_by_content(connection, by, CHECKS_LIMIT)
                # The caller has the content's hash, and may have its opening.
                wanted = [(each.log_index, content_opening(each)) for each in found]
            else:
                found = await store.find_by_code(connection, by)
                wanted = [(each.log_index, []) for each in found]
            if not found:
                raise NotFound("no document matches")
            receipts = await read_receipts(connection, self._log, wanted)
        now = self._clock()
        return documents_pb2.CheckDocumentResponse(
            checks=[
                check_message(document, receipt, now)
                for document, receipt in zip(found, receipts, strict=True)
            ]
        )

    # --- Revocation and erasure ----------------------------------------------

    async def RevokeDocument(
        self, request: documents_pb2.RevokeDocumentRequest, call: Call
    ) -> documents_pb2.Document:
        check_name(request.name, "documents", "name")
        reason = check_text(request.reason, REASON_LENGTH, "reason")
        document = await self._find_document(request.name)
        if document is None or not is_issuer(call.caller, document):
            raise PermissionDenied
        revoked = await self._lifecycle.revoke(document, reason)
        return document_message(revoked, self._clock())

    async def EraseDocument(
        self, request: documents_pb2.EraseDocumentRequest, _call: Call
    ) -> documents_pb2.Document:
        check_name(request.name, "documents", "name")
        citation = check_text(request.citation, CITATION_LENGTH, "citation")
        document = await self._find_document(request.name)
        if document is None:
            raise NotFound("there is no such document")
        erased = await self._lifecycle.erase(document, citation)
        return document_message(erased, self._clock())

    async def _find_document(self, name: str) -> Document | None:
        async with self._database.reading() as connection:
            return await store.find_document(connection, name)
