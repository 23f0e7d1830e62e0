"""Requests about documents and their types, parsed, and checked as far as needs no other service.

parse_registration runs for every document of a batch, so it checks by hand what the generic check
of field behaviour would: two thousand documents a second leave a few dozen microseconds for each.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from qagazsyz.registry.v1 import documents_pb2
from services.registry.model.attributes import Attribute, AttributeKind
from services.registry.model.document_types import DocumentType, LegalBasis
from services.registry.model.documents import Signature, parse_verification_code
from services.registry.model.resource_names import check_name, check_text
from services.registry.model.statements import (
    StatementVersion,
    encode_statement,
    statement_key,
)
from services.runtime.access import Caller
from services.runtime.clock import from_timestamp
from services.runtime.errors import DomainError, InvalidArgument
from services.runtime.intake.field_checks import check_shown
from services.runtime.intake.update_masks import changed_paths
from services.runtime.storage.idempotency import fingerprint_of_parts, read_request_key
from services.runtime.storage.kept_requests import RequestKey

METHOD = "RegisterDocument"

# documents.proto, RegisterDocumentRequest and BatchRegisterDocumentsRequest.
CONTENT_LIMIT_BYTES = 16 * 1024 * 1024
SIGNATURES_LIMIT = 16
SUBJECTS_LIMIT = 16
BATCH_LIMIT = 1_000
BATCH_LIMIT_BYTES = 16 * 1024 * 1024

TITLE_LENGTH = 500
# A certificate of the largest post-quantum scheme has about 8 KiB, its signature 5.
CERTIFICATE_LIMIT_BYTES = 16 * 1024
SIGNATURE_LIMIT_BYTES = 8 * 1024

# RFC 6838, section 4.2, and parameters as in "text/plain; charset=utf-8". Nothing else is allowed,
# because it becomes a header of the download's response.
_TOKEN = r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}"  # noqa: S105 - a token of a grammar
_PARAMETER = r"; ?[a-z0-9-]{1,40}=[A-Za-z0-9!#$&^_.+-]{1,80}"
_MEDIA_TYPE = re.compile(f"{_TOKEN}/{_TOKEN}(?:{_PARAMETER}){{0,4}}")
MEDIA_TYPE_LENGTH = 255

REASON_LENGTH = 1_000
CITATION_LENGTH = 500
HASH_BYTES = 32

# The fields of a document type that an update may change.
UPDATABLE = ("display_names", "issuers", "legal_bases", "attributes")


@dataclass(frozen=True, slots=True)
class ParsedRegistration:
    """A request to register a document. Its signatures' signers are not known yet."""

    document_type: str
    issuer: str
    subjects: tuple[str, ...]
    title: str
    media_type: str
    expire_time: datetime | None
    content: bytes
    content_sha256: bytes
    signatures: tuple[Signature, ...]
    # The texts that the signatures must be over, by their versions.
    statements: Mapping[StatementVersion, bytes]
    statement_key: bytes
    # None without a request_id.
    request: RequestKey | None
    # SHA-256 over statement, title and signatures; b"" without a request_id.
    request_sha256: bytes


# --- Registration ------------------------------------------------------------


def parse_registration(
    request: documents_pb2.RegisterDocumentRequest, caller: Caller, now: datetime
) -> ParsedRegistration:
    """Parse a registration for the caller's organization. Raises InvalidArgument."""
    if not request.HasField("document"):
        raise InvalidArgument("document", "is required")
    document = request.document
    content = request.content
    if not content:
        raise InvalidArgument("content", "is required")
    if len(content) > CONTENT_LIMIT_BYTES:
        raise InvalidArgument("content", f"more than {CONTENT_LIMIT_BYTES} bytes")
    if not document.document_type:
        raise InvalidArgument("document.document_type", "is required")
    document_type = check_name(document.document_type, "documentTypes", "document.document_type")
    subjects = _parse_subjects(document)
    title = check_text(document.title, TITLE_LENGTH, "document.title")
    check_shown(title, "document.title")
    media_type = _check_media_type(document.media_type)
    expire_time = _parse_expire_time(document, now)
    signatures = _parse_signatures(request)
    key = read_request_key(METHOD, caller.scope, request.request_id)
    content_sha256 = hashlib.sha256(content).digest()
    statements = {
        version: encode_statement(
            version=version,
            issuer=caller.organization,
            content_sha256=content_sha256,
            document_type=document_type,
            media_type=media_type,
            subjects=subjects,
            expire_time=expire_time,
        )
        for version in StatementVersion
    }
    identifying = statements[StatementVersion.WITHOUT_ISSUER]
    return ParsedRegistration(
        document_type=document_type,
        issuer=caller.organization,
        subjects=subjects,
        title=title,
        media_type=media_type,
        expire_time=expire_time,
        content=content,
        content_sha256=content_sha256,
        signatures=signatures,
        statements=statements,
        statement_key=statement_key(caller.organization, identifying),
        request=key,
        request_sha256=_fingerprint(identifying, title, signatures) if key is not None else b"",
    )


def parse_batch(
    request: documents_pb2.BatchRegisterDocumentsRequest, caller: Caller, now: datetime
) -> list[ParsedRegistration | DomainError]:
    """Parse each item of a batch; return the results, or their errors, in order.

    Raises InvalidArgument if the batch is too large.
    """
    if len(request.requests) > BATCH_LIMIT:
        raise InvalidArgument("requests", f"more than {BATCH_LIMIT}")
    if sum(len(each.content) for each in request.requests) > BATCH_LIMIT_BYTES:
        raise InvalidArgument("requests", f"more than {BATCH_LIMIT_BYTES} bytes in total")
    return [_parse_item(each, caller, now) for each in request.requests]


def _parse_item(
    request: documents_pb2.RegisterDocumentRequest, caller: Caller, now: datetime
) -> ParsedRegistration | DomainError:
    try:
        return parse_registration(request, caller, now)
    except DomainError as error:
        return error


def _parse_subjects(document: documents_pb2.Document) -> tuple[str, ...]:
    subjects = tuple(document.subjects)
    if not subjects:
        raise InvalidArgument("document.subjects", "is required")
    if len(subjects) > SUBJECTS_LIMIT:
        raise InvalidArgument("document.subjects", f"more than {SUBJECTS_LIMIT}")
    for index, subject in enumerate(subjects):
        check_name(subject, "subjects", f"document.subjects[{index}]")
        if subject in subjects[:index]:
            raise InvalidArgument(f"document.subjects[{index}]", "named twice")
    return subjects


def _check_media_type(media_type: str) -> str:
    if not media_type:
        raise InvalidArgument("document.media_type", "is required")
    if len(media_type) > MEDIA_TYPE_LENGTH or not _MEDIA_TYPE.fullmatch(media_type):
        raise InvalidArgument("document.media_type", "not a media type (RFC 6838)")
    return media_type


def _parse_expire_time(document: documents_pb2.Document, now: datetime) -> datetime | None:
    if not document.HasField("expire_time"):
        return None
    field = "document.expire_time"
    # A statement has whole seconds, and the stored time must be the signed one.
    if document.expire_time.nanos:
        raise InvalidArgument(field, "must be in whole seconds")
    moment = parse_time(document.expire_time, field)
    if moment <= now:
        raise InvalidArgument(field, "must be in the future")
    return moment


def _parse_signatures(
    request: documents_pb2.RegisterDocumentRequest,
) -> tuple[Signature, ...]:
    if not request.signatures:
        raise InvalidArgument("signatures", "is required")
    if len(request.signatures) > SIGNATURES_LIMIT:
        raise InvalidArgument("signatures", f"more than {SIGNATURES_LIMIT}")
    signatures = []
    for index, each in enumerate(request.signatures):
        where = f"signatures[{index}]"
        certificate, algorithm, signature = each.certificate, each.algorithm, each.signature
        if not certificate:
            raise InvalidArgument(f"{where}.certificate", "is required")
        if not algorithm:
            raise InvalidArgument(f"{where}.algorithm", "is required")
        if not signature:
            raise InvalidArgument(f"{where}.signature", "is required")
        if len(certificate) > CERTIFICATE_LIMIT_BYTES:
            raise InvalidArgument(f"{where}.certificate", f"over {CERTIFICATE_LIMIT_BYTES} bytes")
        if len(signature) > SIGNATURE_LIMIT_BYTES:
            raise InvalidArgument(f"{where}.signature", f"over {SIGNATURE_LIMIT_BYTES} bytes")
        version = _parse_version(each.statement_version, f"{where}.statement_version")
        signatures.append(
            Signature(certificate, algorithm, signature, signer="", statement_version=version)
        )
    return tuple(signatures)


def _parse_version(number: int, field: str) -> StatementVersion:
    # Clients of version 1 know no such field.
    if number == 0:
        return StatementVersion.WITHOUT_ISSUER
    try:
        return StatementVersion(number)
    except ValueError:
        raise InvalidArgument(field, "no version of the statement") from None


def _fingerprint(statement: bytes, title: str, signatures: tuple[Signature, ...]) -> bytes:
    parts = [statement, title.encode()]
    for each in signatures:
        parts += [each.certificate, str(each.algorithm).encode(), each.signature]
    return fingerprint_of_parts(parts)


# --- Types -------------------------------------------------------------------


def parse_document_type(message: documents_pb2.DocumentType, name: str) -> DocumentType:
    """Parse a type, under that name. Raises InvalidArgument for times only: the model checks it."""
    return DocumentType(
        name=name,
        display_names=dict(message.display_names),
        issuers=tuple(message.issuers),
        legal_bases=tuple(
            LegalBasis(
                organization=basis.organization,
                purpose=basis.purpose,
                citation=basis.citation,
                expire_time=(
                    parse_time(basis.expire_time, f"document_type.legal_bases[{index}].expire_time")
                    if basis.HasField("expire_time")
                    else None
                ),
            )
            for index, basis in enumerate(message.legal_bases)
        ),
        attributes=tuple(
            Attribute(
                pointer=attribute.pointer,
                kind=_parse_kind(attribute.kind),
                is_required=attribute.required,
                display_names=dict(attribute.display_names),
            )
            for attribute in message.attributes
        ),
    )


def parse_type_changes(request: documents_pb2.UpdateDocumentTypeRequest) -> dict[str, Any]:
    """Parse an update: the new values by the fields of DocumentType. Raises InvalidArgument.

    The fields are those of the mask; without a mask, those that are set (AIP-134).
    """
    changed = parse_document_type(request.document_type, request.document_type.name)
    paths = changed_paths(request.document_type, request.update_mask, updatable=UPDATABLE)
    return {path: getattr(changed, path) for path in paths}


def _parse_kind(number: int) -> AttributeKind:
    try:
        return AttributeKind(number)
    except ValueError:
        return AttributeKind.UNSPECIFIED


# --- Checks ------------------------------------------------------------------


def parse_check(request: documents_pb2.CheckDocumentRequest) -> str | bytes:
    """Parse what a document is to be found by: its verification code, or its content's SHA-256.

    Raises InvalidArgument.
    """
    by = request.WhichOneof("by")
    if by == "content_sha256":
        if len(request.content_sha256) != HASH_BYTES:
            raise InvalidArgument("content_sha256", f"not {HASH_BYTES} bytes")
        return request.content_sha256
    if by == "verification_code":
        code = parse_verification_code(request.verification_code)
        if code is None:
            raise InvalidArgument("verification_code", "not 16 letters and digits")
        return code
    raise InvalidArgument("by", "a verification code or a content's hash is required")


def parse_time(stamp: Timestamp, field: str) -> datetime:
    """Return the time of a field. Raises InvalidArgument if it is out of Timestamp's range."""
    try:
        return from_timestamp(stamp)
    except (ValueError, OverflowError):
        raise InvalidArgument(field, "not a valid time") from None
