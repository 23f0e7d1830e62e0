"""The contract's messages for what the domain knows, and the other way round."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import cast

from google.protobuf.timestamp_pb2 import Timestamp

from qagazsyz.common.v1 import signatures_pb2
from qagazsyz.registry.v1 import consents_pb2, documents_pb2, receipts_pb2
from services.registry.model.accesses import Access
from services.registry.model.attributes import Attribute, AttributeKind
from services.registry.model.consents import Consent
from services.registry.model.document_types import DocumentType, LegalBasis
from services.registry.model.documents import Document, DocumentState, format_verification_code
from services.runtime.clock import from_timestamp, to_timestamp
from services.runtime.errors import InvalidArgument
from services.runtime.paging import encode_token

_STATES: Mapping[DocumentState, documents_pb2.DocumentState] = {
    DocumentState.ACTIVE: documents_pb2.DOCUMENT_STATE_ACTIVE,
    DocumentState.REVOKED: documents_pb2.DOCUMENT_STATE_REVOKED,
    DocumentState.EXPIRED: documents_pb2.DOCUMENT_STATE_EXPIRED,
    DocumentState.ERASED: documents_pb2.DOCUMENT_STATE_ERASED,
}


def document_message(document: Document, now: datetime) -> documents_pb2.Document:
    """The document as its readers get it."""
    message = documents_pb2.Document(
        name=document.name,
        document_type=document.document_type,
        subjects=document.subjects,
        issuer=document.issuer,
        title=document.title,
        media_type=document.media_type,
        content_sha256=document.content_sha256,
        size_bytes=document.size_bytes,
        state=_STATES[document.state(now)],
        verification_code=format_verification_code(document.verification_code),
        log_index=document.log_index,
        create_time=to_timestamp(document.create_time),
        expire_time=to_timestamp(document.expire_time),
        revoke_time=to_timestamp(document.revoke_time),
        revoke_reason=document.revoke_reason,
    )
    for each in document.signatures:
        message.signatures.add(
            certificate=each.certificate,
            algorithm=cast("signatures_pb2.SignatureAlgorithm", each.algorithm),
            signature=each.signature,
            signer=each.signer,
        )
    return message


def check_message(
    document: Document, receipt: receipts_pb2.Receipt, now: datetime
) -> documents_pb2.DocumentCheck:
    """What anyone may know of a document: no personal data."""
    return documents_pb2.DocumentCheck(
        state=_STATES[document.state(now)],
        document_type=document.document_type,
        issuer=document.issuer,
        create_time=to_timestamp(document.create_time),
        expire_time=to_timestamp(document.expire_time),
        revoke_time=to_timestamp(document.revoke_time),
        receipt=receipt,
    )


def document_type_message(document_type: DocumentType) -> documents_pb2.DocumentType:
    """The type as everybody may read it."""
    return documents_pb2.DocumentType(
        name=document_type.name,
        display_names=dict(document_type.display_names),
        issuers=document_type.issuers,
        legal_bases=[
            documents_pb2.LegalBasis(
                organization=basis.organization,
                purpose=basis.purpose,
                citation=basis.citation,
                expire_time=to_timestamp(basis.expire_time),
            )
            for basis in document_type.legal_bases
        ],
        etag=document_type.etag,
        attributes=[
            documents_pb2.Attribute(
                pointer=attribute.pointer,
                kind=cast("documents_pb2.AttributeKind", attribute.kind),
                required=attribute.is_required,
                display_names=dict(attribute.display_names),
            )
            for attribute in document_type.attributes
        ],
    )


def read_document_type(message: documents_pb2.DocumentType, name: str) -> DocumentType:
    """The type in a message, under that name, nothing in it checked but its times."""
    return DocumentType(
        name=name,
        display_names=dict(message.display_names),
        issuers=tuple(message.issuers),
        legal_bases=tuple(
            LegalBasis(
                organization=basis.organization,
                purpose=basis.purpose,
                citation=basis.citation,
                expire_time=read_time(basis, f"document_type.legal_bases[{index}].expire_time"),
            )
            for index, basis in enumerate(message.legal_bases)
        ),
        attributes=tuple(
            Attribute(
                pointer=attribute.pointer,
                kind=_kind_of(attribute.kind),
                is_required=attribute.required,
                display_names=dict(attribute.display_names),
            )
            for attribute in message.attributes
        ),
    )


def consent_message(
    consent: Consent,
    grant_receipt: receipts_pb2.Receipt,
    withdraw_receipt: receipts_pb2.Receipt | None,
) -> consents_pb2.Consent:
    """The consent with its proofs."""
    return consents_pb2.Consent(
        name=consent.name,
        subject=consent.subject,
        organization=consent.organization,
        document_type=consent.document_type,
        create_time=to_timestamp(consent.create_time),
        expire_time=to_timestamp(consent.expire_time),
        withdraw_time=to_timestamp(consent.withdraw_time),
        purpose=consent.purpose,
        purpose_text=consent.purpose_text,
        grant_receipt=grant_receipt,
        withdraw_receipt=withdraw_receipt,
    )


def access_message(access: Access, receipt: receipts_pb2.Receipt) -> consents_pb2.Access:
    """The access with its proof."""
    return consents_pb2.Access(
        name=access.name,
        subjects=access.subjects,
        organization=access.organization,
        officer=access.officer,
        document_type=access.document_type,
        purpose=access.purpose,
        reason=access.reason,
        basis=access.basis,
        documents=access.documents,
        receipt=receipt,
        create_time=to_timestamp(access.create_time),
        event=cast("consents_pb2.AccessEvent", int(access.event)),
        attributes=access.attributes,
    )


def read_time(
    message: documents_pb2.LegalBasis | consents_pb2.Consent, field: str
) -> datetime | None:
    """The message's expire_time, None where it is unset. Raises InvalidArgument."""
    if not message.HasField("expire_time"):
        return None
    stamp: Timestamp = message.expire_time
    try:
        return from_timestamp(stamp)
    except (ValueError, OverflowError):
        raise InvalidArgument(field, "is no point in time") from None


def attribute_message(
    attribute: Attribute, value: str | float | bool | None
) -> documents_pb2.AttributeValue:
    """What a document says under an attribute."""
    message = documents_pb2.AttributeValue(pointer=attribute.pointer)
    # A bool is an int too, hence first.
    if isinstance(value, bool):
        message.flag = value
    elif isinstance(value, str):
        message.text = value
    elif value is not None:
        message.number = value
    return message


def next_page_token(names: Sequence[str], size: int, of: str) -> str:
    """The token of the page behind one of that size, "" if there is none.

    names: of what was read for the page, which is one more than it holds where more is there.
    """
    return encode_token([names[size - 1]], of=of) if len(names) > size else ""


def _kind_of(number: int) -> AttributeKind:
    try:
        return AttributeKind(number)
    except ValueError:
        return AttributeKind.UNSPECIFIED
