"""The contract's messages of the registry's resources."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import cast

from qagazsyz.common.v1 import signatures_pb2
from qagazsyz.identity.v1 import events_pb2
from qagazsyz.registry.v1 import consents_pb2, delegated_pb2, documents_pb2, receipts_pb2
from services.registry.model.accesses import Access
from services.registry.model.attributes import Attribute
from services.registry.model.consents import Consent
from services.registry.model.document_types import DocumentType, LegalBasis
from services.registry.model.documents import Document, format_verification_code
from services.registry.model.identity_events import IdentityEvent
from services.registry.model.request_events import RequestEvent
from services.runtime.clock import to_timestamp


def document_message(document: Document, now: datetime) -> documents_pb2.Document:
    """Return the document as its readers get it, in its state at that time."""
    message = documents_pb2.Document(
        name=document.name,
        document_type=document.document_type,
        subjects=document.subjects,
        issuer=document.issuer,
        title=document.title,
        media_type=document.media_type,
        content_sha256=document.content_sha256,
        size_bytes=document.size_bytes,
        state=_state(document, now),
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
            statement_version=each.statement_version.value,
        )
    return message


def check_message(
    document: Document, receipt: receipts_pb2.Receipt, now: datetime
) -> documents_pb2.DocumentCheck:
    """Return what anyone may know of a document: no personal data."""
    return documents_pb2.DocumentCheck(
        state=_state(document, now),
        document_type=document.document_type,
        issuer=document.issuer,
        create_time=to_timestamp(document.create_time),
        expire_time=to_timestamp(document.expire_time),
        revoke_time=to_timestamp(document.revoke_time),
        receipt=receipt,
    )


def document_type_message(document_type: DocumentType, now: datetime) -> documents_pb2.DocumentType:
    """Return the type, which everybody may read, with what waits for a second operator then."""
    message = documents_pb2.DocumentType(
        name=document_type.name,
        display_names=dict(document_type.display_names),
        issuers=document_type.issuers,
        legal_bases=_basis_messages(document_type.legal_bases),
        etag=document_type.etag,
        attributes=[
            documents_pb2.Attribute(
                pointer=attribute.pointer,
                kind=cast("documents_pb2.AttributeKind", int(attribute.kind)),
                required=attribute.is_required,
                display_names=dict(attribute.display_names),
            )
            for attribute in document_type.attributes
        ],
    )
    pending = document_type.pending_at(now)
    if pending is not None:
        message.pending_legal_bases.legal_bases.extend(_basis_messages(pending.legal_bases))
        message.pending_legal_bases.proposer = pending.proposer
        message.pending_legal_bases.create_time.FromDatetime(pending.create_time)
    return message


def _basis_messages(legal_bases: Sequence[LegalBasis]) -> list[documents_pb2.LegalBasis]:
    return [
        documents_pb2.LegalBasis(
            organization=basis.organization,
            purpose=basis.purpose,
            citation=basis.citation,
            expire_time=to_timestamp(basis.expire_time),
        )
        for basis in legal_bases
    ]


def attribute_message(
    attribute: Attribute, value: str | float | bool | None
) -> documents_pb2.AttributeValue:
    """Return an attribute's value in a document; unset for None."""
    message = documents_pb2.AttributeValue(pointer=attribute.pointer)
    # A bool is an int too, hence first.
    if isinstance(value, bool):
        message.flag = value
    elif isinstance(value, str):
        message.text = value
    elif value is not None:
        message.number = value
    return message


def consent_message(
    consent: Consent,
    grant_receipt: receipts_pb2.Receipt,
    withdraw_receipt: receipts_pb2.Receipt | None,
) -> consents_pb2.Consent:
    """Return the consent with its receipts."""
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
    """Return the access with its receipt."""
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


def identity_event_message(
    event: IdentityEvent, receipt: receipts_pb2.Receipt
) -> consents_pb2.LoggedIdentityEvent:
    """Return identity's event with its receipt."""
    return consents_pb2.LoggedIdentityEvent(
        kind=cast("events_pb2.IdentityEventKind", int(event.kind)),
        time=to_timestamp(event.time),
        organization=event.organization,
        officers=event.officers,
        fingerprint=event.fingerprint,
        receipt=receipt,
    )


def request_event_message(
    event: RequestEvent, receipt: receipts_pb2.Receipt
) -> delegated_pb2.RequestEvent:
    """Return a request's change with its receipt."""
    return delegated_pb2.RequestEvent(
        request=event.request,
        public_service=event.public_service,
        number=event.number,
        change=event.change,
        time=to_timestamp(event.time),
        receipt=receipt,
    )


def _state(document: Document, now: datetime) -> documents_pb2.DocumentState:
    return cast("documents_pb2.DocumentState", int(document.state(now)))
