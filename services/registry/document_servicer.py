"""DocumentService: documents and their types, as callers meet them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from google.api import httpbody_pb2

from qagazsyz.registry.v1 import documents_pb2, receipts_pb2
from services.registry.clients import Directory, SubjectKind
from services.registry.contents.packs import ContentLost, Contents
from services.registry.documents.registration import Registration
from services.registry.documents.requests import BATCH_LIMIT, BATCH_LIMIT_BYTES, Draft, read_draft
from services.registry.documents.store import NothingChanged, Store
from services.registry.lookups.lookups import LookUps
from services.registry.lookups.requests import read_attribute_look_up, read_look_up
from services.registry.lookups.store import RecordStore
from services.registry.messages import (
    attribute_message,
    check_message,
    document_message,
    document_type_message,
    next_page_token,
    read_document_type,
)
from services.registry.model import document_types, documents, log_entries
from services.registry.model.accesses import Access
from services.registry.model.attributes import parse_content, value_at
from services.registry.model.documents import Document
from services.registry.model.resource_names import check_name, check_text
from services.runtime import telemetry
from services.runtime.access import Role
from services.runtime.clock import Clock
from services.runtime.errors import (
    Aborted,
    DomainError,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    Unavailable,
)
from services.runtime.paging import decode_token, page_size
from services.runtime.server import Call
from services.runtime.status import status_of
from services.runtime.storage.idempotency import check_request_id

log = logging.getLogger(__name__)

REASON_LENGTH = 1_000
CITATION_LENGTH = 500
# The same content may stand in more than one document; nobody needs more to know that it does.
CHECKS_LIMIT = 100
HASH_BYTES = 32

_UPDATABLE = ("display_names", "issuers", "legal_bases", "attributes")


class DocumentServicer:
    """The contract's DocumentService."""

    def __init__(
        self,
        *,
        store: Store,
        records: RecordStore,
        registration: Registration,
        look_ups: LookUps,
        contents: Contents,
        directory: Directory,
        clock: Clock,
    ) -> None:
        self._store = store
        self._records = records
        self._registration = registration
        self._look_ups = look_ups
        self._contents = contents
        self._directory = directory
        self._clock = clock

    # --- Types ---------------------------------------------------------------

    async def CreateDocumentType(
        self, request: documents_pb2.CreateDocumentTypeRequest, call: Call
    ) -> documents_pb2.DocumentType:
        name = document_types.name_of(request.document_type_id)
        document_type = read_document_type(request.document_type, name)
        return await self._keep_type(document_type, None, call)

    async def UpdateDocumentType(
        self, request: documents_pb2.UpdateDocumentTypeRequest, call: Call
    ) -> documents_pb2.DocumentType:
        name = check_name(request.document_type.name, "documentTypes", "document_type.name")
        present = await self._store.find_type(name)
        if present is None:
            raise NotFound("there is no such document type")
        if request.document_type.etag not in ("", present.etag):
            raise Aborted("the type was changed meanwhile")
        asked = read_document_type(request.document_type, name)
        changed = present
        for path in _paths(request):
            changed = replace(changed, **{path: getattr(asked, path)})
        return await self._keep_type(changed, present.etag, call)

    async def _keep_type(
        self, document_type: document_types.DocumentType, etag: str | None, call: Call
    ) -> documents_pb2.DocumentType:
        """etag: of the type that is changed, None for a new one."""
        document_types.check_document_type(document_type)
        await self._check_organizations(document_type, call)
        document_type = replace(document_type, etag=document_types.etag_of(document_type))
        if etag is None:
            await self._store.create_type(document_type)
        else:
            await self._store.update_type(document_type, etag)
        return document_type_message(document_type)

    async def _check_organizations(
        self, document_type: document_types.DocumentType, call: Call
    ) -> None:
        named = {
            f"document_type.issuers[{index}]": issuer
            for index, issuer in enumerate(document_type.issuers)
        } | {
            f"document_type.legal_bases[{index}].organization": basis.organization
            for index, basis in enumerate(document_type.legal_bases)
        }
        for field, name in named.items():
            check_name(name, "subjects", field)
        found = await self._directory.find_subjects(set(named.values()), call)
        for field, name in named.items():
            if found.get(name) is not SubjectKind.ORGANIZATION:
                raise InvalidArgument(field, "there is no such organization")

    async def GetDocumentType(
        self, request: documents_pb2.GetDocumentTypeRequest, _call: Call
    ) -> documents_pb2.DocumentType:
        document_type = await self._store.find_type(request.name)
        if document_type is None:
            raise NotFound("there is no such document type")
        return document_type_message(document_type)

    async def ListDocumentTypes(
        self, request: documents_pb2.ListDocumentTypesRequest, _call: Call
    ) -> documents_pb2.ListDocumentTypesResponse:
        size = page_size(request.page_size)
        of = "ListDocumentTypes"
        last = decode_token(request.page_token, of=of, parts=1)
        found = await self._store.list_types(last[0] if last else "", size + 1)
        return documents_pb2.ListDocumentTypesResponse(
            document_types=[document_type_message(each) for each in found[:size]],
            next_page_token=next_page_token(
                [each.name for each in found], size, "ListDocumentTypes"
            ),
        )

    # --- Registration --------------------------------------------------------

    async def RegisterDocument(
        self, request: documents_pb2.RegisterDocumentRequest, call: Call
    ) -> documents_pb2.Document:
        draft = read_draft(request, call.caller.organization, self._clock())
        (outcome,) = await self._registration.register([draft], call.caller, call)
        if isinstance(outcome, DomainError):
            raise outcome
        return document_message(outcome, self._clock())

    async def BatchRegisterDocuments(
        self, request: documents_pb2.BatchRegisterDocumentsRequest, call: Call
    ) -> documents_pb2.BatchRegisterDocumentsResponse:
        if len(request.requests) > BATCH_LIMIT:
            raise InvalidArgument("requests", f"more than {BATCH_LIMIT}")
        if sum(len(each.content) for each in request.requests) > BATCH_LIMIT_BYTES:
            raise InvalidArgument("requests", f"more than {BATCH_LIMIT_BYTES} bytes in all")
        now = self._clock()
        read = [_read_item(each, call.caller.organization, now=now) for each in request.requests]
        drafts = [each for each in read if isinstance(each, Draft)]
        outcomes = iter(await self._registration.register(drafts, call.caller, call))
        response = documents_pb2.BatchRegisterDocumentsResponse()
        failed = 0
        now = self._clock()
        for each in read:
            outcome = next(outcomes) if isinstance(each, Draft) else each
            if isinstance(outcome, DomainError):
                failed += 1
                response.results.add(error=status_of(outcome))
            else:
                response.results.add(document=document_message(outcome, now))
        telemetry.annotate(documents=len(read), documents_failed=failed)
        return response

    # --- Reading -------------------------------------------------------------

    async def GetDocument(
        self, request: documents_pb2.GetDocumentRequest, call: Call
    ) -> documents_pb2.Document:
        document = await self._readable(request.name, request.access, call)
        return document_message(document, self._clock())

    async def GetReceipt(
        self, request: documents_pb2.GetReceiptRequest, call: Call
    ) -> receipts_pb2.Receipt:
        document = await self._readable(request.document, request.access, call, "document")
        openings = log_entries.document_openings(document)
        (receipt,) = await self._store.receipts([(document.log_index, openings)])
        return receipt

    async def _readable(self, name: str, access: str, call: Call, field: str = "name") -> Document:
        """The document, if the caller may read it. Raises PermissionDenied whether or not it
        exists; whoever may read every document is told that it does not."""
        check_name(name, "documents", field)
        look_up = await self._find_access(access)
        document = await self._store.find_document(name)
        if document is None:
            if call.caller.has(Role.ROLE_AUDITOR):
                raise NotFound("there is no such document")
            raise PermissionDenied
        if not documents.may_read(call.caller, document, look_up, self._clock()):
            raise PermissionDenied
        return document

    async def _find_access(self, name: str) -> Access | None:
        if not name:
            return None
        return await self._records.find_access(check_name(name, "accesses", "access"))

    async def DownloadDocument(
        self, request: documents_pb2.DownloadDocumentRequest, call: Call
    ) -> httpbody_pb2.HttpBody:
        check_name(request.name, "documents", "name")
        caller = call.caller
        look_up = await self._find_access(request.access)
        document = await self._store.find_document(request.name)
        if document is None or not documents.may_download(caller, document, look_up, self._clock()):
            raise PermissionDenied
        content = await self._read_content(document)
        if not documents.is_subject(caller, document):
            try:
                await self._look_ups.record_download(document, caller, look_up)
            except NothingChanged:
                raise _erased() from None
        # Whatever a content claims to be, no browser is to run it.
        call.set_header("content-disposition", "attachment")
        call.set_header("x-content-type-options", "nosniff")
        return httpbody_pb2.HttpBody(content_type=document.media_type, data=content)

    async def _read_content(self, document: Document) -> bytes:
        reference = await self._store.find_content(document.name)
        if document.erase_time is not None or reference is None:
            raise _erased()
        try:
            return await self._contents.get(reference, document.content_sha256)
        except ContentLost:
            log.error("a document's content is lost", extra={"document": document.name})
            raise Unavailable("the content cannot be read now") from None

    async def ListDocuments(
        self, request: documents_pb2.ListDocumentsRequest, call: Call
    ) -> documents_pb2.ListDocumentsResponse:
        size = page_size(request.page_size)
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
        of = f"ListDocuments {issuer} {subject} {request.document_type}"
        last = decode_token(request.page_token, of=of, parts=1)
        found = await self._store.list_documents(
            subject=subject,
            issuer=issuer,
            document_type=request.document_type,
            before=last[0] if last else "",
            limit=size + 1,
        )
        now = self._clock()
        return documents_pb2.ListDocumentsResponse(
            documents=[document_message(each, now) for each in found[:size]],
            next_page_token=next_page_token([each.name for each in found], size, of),
        )

    async def LookUpDocuments(
        self, request: documents_pb2.LookUpDocumentsRequest, call: Call
    ) -> documents_pb2.LookUpDocumentsResponse:
        look_up = read_look_up(request, call.caller)
        found = await self._look_ups.look_up(look_up, check_request_id(request.request_id))
        now = self._clock()
        return documents_pb2.LookUpDocumentsResponse(
            documents=[document_message(each, now) for each in found.documents],
            access=found.access.name,
        )

    async def LookUpAttribute(
        self, request: documents_pb2.LookUpAttributeRequest, call: Call
    ) -> documents_pb2.LookUpAttributeResponse:
        look_up = read_attribute_look_up(request, call.caller)
        document_type = await self._store.find_type(look_up.document_type)
        declared = []
        for index, pointer in enumerate(look_up.attributes):
            attribute = document_type.attribute(pointer) if document_type else None
            if attribute is None:
                # Types are public, and only what they declare may come into the log.
                raise InvalidArgument(f"attributes[{index}]", "the type declares no such attribute")
            declared.append(attribute)
        found = await self._look_ups.look_up(look_up, check_request_id(request.request_id))
        response = documents_pb2.LookUpAttributeResponse(access=found.access.name)
        for document in found.documents:
            said = parse_content(await self._read_content(document))
            response.document = document.name
            response.document_create_time.FromDatetime(document.create_time)
            response.values.extend(
                attribute_message(attribute, value_at(said, attribute)) for attribute in declared
            )
        return response

    async def CheckDocument(
        self, request: documents_pb2.CheckDocumentRequest, _call: Call
    ) -> documents_pb2.CheckDocumentResponse:
        by = request.WhichOneof("by")
        if by == "content_sha256":
            if len(request.content_sha256) != HASH_BYTES:
                raise InvalidArgument("content_sha256", f"not {HASH_BYTES} bytes")
            found = await self._store.find_by_content(request.content_sha256, CHECKS_LIMIT)
        elif by == "verification_code":
            code = documents.parse_verification_code(request.verification_code)
            if code is None:
                raise InvalidArgument("verification_code", "not 16 letters and digits")
            found = await self._store.find_by_code(code)
        else:
            raise InvalidArgument("by", "a verification code or a content's hash is required")
        if not found:
            raise NotFound("no document matches")
        receipts = await self._store.receipts(
            [
                # Who presented the hash knows it; a code's holder need not.
                (
                    each.log_index,
                    log_entries.content_opening(each) if by == "content_sha256" else (),
                )
                for each in found
            ]
        )
        now = self._clock()
        return documents_pb2.CheckDocumentResponse(
            checks=[
                check_message(document, receipt, now)
                for document, receipt in zip(found, receipts, strict=True)
            ]
        )

    # --- Revoking and erasing ------------------------------------------------

    async def RevokeDocument(
        self, request: documents_pb2.RevokeDocumentRequest, call: Call
    ) -> documents_pb2.Document:
        check_name(request.name, "documents", "name")
        reason = check_text(request.reason, REASON_LENGTH, "reason")
        document = await self._store.find_document(request.name)
        if document is None or not documents.is_issuer(call.caller, document):
            raise PermissionDenied
        now = self._clock()
        try:
            await self._store.revoke_document(
                document.name,
                time=now,
                reason=reason,
                entry=log_entries.revoked_entry(document.name, document.issuer, now),
            )
        except NothingChanged:
            return await self._revoked_before(document.name, reason)
        return document_message(await self._present(document.name), now)

    async def _revoked_before(self, name: str, reason: str) -> documents_pb2.Document:
        """The answer to a revocation that was made already: the same one succeeds again."""
        document = await self._present(name)
        if document.erase_time is not None:
            raise _erased()
        if document.revoke_reason != reason:
            raise FailedPrecondition(
                "DOCUMENT_REVOKED", "the document was revoked for another reason"
            )
        return document_message(document, self._clock())

    async def EraseDocument(
        self, request: documents_pb2.EraseDocumentRequest, _call: Call
    ) -> documents_pb2.Document:
        check_name(request.name, "documents", "name")
        citation = check_text(request.citation, CITATION_LENGTH, "citation")
        document = await self._store.find_document(request.name)
        if document is None:
            raise NotFound("there is no such document")
        now = self._clock()
        try:
            await self._store.erase_document(
                document.name,
                time=now,
                citation=citation,
                entry=log_entries.erased_entry(document.name, document.issuer, now),
            )
        except NothingChanged:
            log.info("a document was erased already", extra={"document": document.name})
        return document_message(await self._present(document.name), now)

    async def _present(self, name: str) -> Document:
        document = await self._store.find_document(name)
        if document is None:
            raise NotFound("there is no such document")
        return document


def _paths(request: documents_pb2.UpdateDocumentTypeRequest) -> Sequence[str]:
    """What an update is to change: what the mask names, or without one what is set (AIP-134)."""
    if not request.update_mask.paths:
        return [path for path in _UPDATABLE if getattr(request.document_type, path)]
    if list(request.update_mask.paths) == ["*"]:
        return _UPDATABLE
    for index, path in enumerate(request.update_mask.paths):
        if path not in _UPDATABLE:
            raise InvalidArgument(f"update_mask.paths[{index}]", "names nothing that can change")
    return list(request.update_mask.paths)


def _read_item(
    request: documents_pb2.RegisterDocumentRequest, issuer: str, *, now: datetime
) -> Draft | DomainError:
    try:
        return read_draft(request, issuer, now)
    except DomainError as error:
        return error


def _erased() -> FailedPrecondition:
    return FailedPrecondition("DOCUMENT_ERASED", "the document has been erased")
