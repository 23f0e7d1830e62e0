"""Drafts: what callers ask to have registered, checked as far as can be without asking anybody.

Everything here is done once for every document of a batch, by hand and not by
the generic check of field behaviour: two thousand documents a second leave a
few dozen microseconds for each.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime

from qagazsyz.registry.v1 import documents_pb2
from services.registry.model.documents import Signature
from services.registry.model.resource_names import check_name, check_text
from services.registry.model.statements import encode_statement, statement_key
from services.runtime.clock import from_timestamp
from services.runtime.errors import InvalidArgument
from services.runtime.storage.idempotency import check_request_id

# documents.proto: RegisterDocumentRequest, BatchRegisterDocumentsRequest.
CONTENT_LIMIT_BYTES = 16 * 1024 * 1024
SIGNATURES_LIMIT = 16
SUBJECTS_LIMIT = 16
BATCH_LIMIT = 1_000
BATCH_LIMIT_BYTES = 16 * 1024 * 1024

TITLE_LENGTH = 500
# A certificate of the largest post-quantum scheme has about 8 KiB, its signature 5.
CERTIFICATE_LIMIT_BYTES = 16 * 1024
SIGNATURE_LIMIT_BYTES = 8 * 1024

# RFC 6838, section 4.2, and parameters as in "text/plain; charset=utf-8". It becomes a header of
# the download's answer, so that nothing else may be in it.
_TOKEN = r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}"  # noqa: S105 - a token of a grammar
_PARAMETER = r"; ?[a-z0-9-]{1,40}=[A-Za-z0-9!#$&^_.+-]{1,80}"
_MEDIA_TYPE = re.compile(f"{_TOKEN}/{_TOKEN}(?:{_PARAMETER}){{0,4}}")
MEDIA_TYPE_LENGTH = 255


@dataclass(frozen=True, slots=True)
class Draft:
    """A document that is to be registered."""

    document_type: str
    subjects: tuple[str, ...]
    title: str
    media_type: str
    expire_time: datetime | None
    content: bytes
    content_sha256: bytes
    # Signers are not known yet.
    signatures: tuple[Signature, ...]
    # What the signatures must be over.
    statement: bytes
    statement_key: bytes
    request_id: str
    # SHA-256 over all of the above but the request_id.
    fingerprint: bytes


def read_draft(request: documents_pb2.RegisterDocumentRequest, issuer: str, now: datetime) -> Draft:
    """The draft in a request. Raises InvalidArgument naming the field that cannot be accepted."""
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
    subjects = _read_subjects(document)
    title = check_text(document.title, TITLE_LENGTH, "document.title")
    if "\x00" in title:
        raise InvalidArgument("document.title", "contains a NUL character")
    media_type = _read_media_type(document.media_type)
    expire_time = _read_expire_time(document, now)
    signatures = _read_signatures(request)
    request_id = check_request_id(request.request_id)
    content_sha256 = hashlib.sha256(content).digest()
    signed = encode_statement(
        content_sha256=content_sha256,
        document_type=document_type,
        media_type=media_type,
        subjects=subjects,
        expire_time=expire_time,
    )
    return Draft(
        document_type=document_type,
        subjects=subjects,
        title=title,
        media_type=media_type,
        expire_time=expire_time,
        content=content,
        content_sha256=content_sha256,
        signatures=signatures,
        statement=signed,
        statement_key=statement_key(issuer, signed),
        request_id=request_id,
        fingerprint=_fingerprint(signed, title, signatures) if request_id else b"",
    )


def _read_subjects(document: documents_pb2.Document) -> tuple[str, ...]:
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


def _read_media_type(media_type: str) -> str:
    if not media_type:
        raise InvalidArgument("document.media_type", "is required")
    if len(media_type) > MEDIA_TYPE_LENGTH or not _MEDIA_TYPE.fullmatch(media_type):
        raise InvalidArgument("document.media_type", "no media type")
    return media_type


def _read_expire_time(document: documents_pb2.Document, now: datetime) -> datetime | None:
    if not document.HasField("expire_time"):
        return None
    field = "document.expire_time"
    # A statement holds whole seconds, and what is kept must be what was signed.
    if document.expire_time.nanos:
        raise InvalidArgument(field, "not in whole seconds")
    try:
        moment = from_timestamp(document.expire_time)
    except (ValueError, OverflowError):
        raise InvalidArgument(field, "is no point in time") from None
    if moment <= now:
        raise InvalidArgument(field, "in the past")
    return moment


def _read_signatures(
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
        signatures.append(Signature(certificate, algorithm, signature, signer=""))
    return tuple(signatures)


def _fingerprint(signed: bytes, title: str, signatures: tuple[Signature, ...]) -> bytes:
    """SHA-256 over parts that are told apart by their lengths."""
    digest = hashlib.sha256()
    parts = [signed, title.encode()]
    for each in signatures:
        parts += [each.certificate, str(each.algorithm).encode(), each.signature]
    for part in parts:
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.digest()
