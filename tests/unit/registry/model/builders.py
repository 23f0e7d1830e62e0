"""Values of the model, as the tests of its rules need them."""

from __future__ import annotations

from typing import Any

from services.registry.model.accesses import Access, AccessEvent, LookUp
from services.registry.model.attributes import Attribute, AttributeKind
from services.registry.model.consents import Consent
from services.registry.model.document_types import DocumentType, LegalBasis
from services.registry.model.documents import Document, Signature
from services.registry.model.identity_events import (
    IdentityEvent,
    IdentityEventBasis,
    IdentityEventKind,
)
from services.registry.model.request_events import RequestEvent
from services.runtime.access import Role
from tests.unit.registry.ledger import NOW
from tests.unit.registry.world import (
    ADDRESS,
    CITIZEN,
    CLERK,
    FIRST_BANK,
    LAW,
    MINISTRY,
    PURPOSE,
    TELLER,
)


def document(**changes: Any) -> Document:
    """The citizen's address certificate."""
    members: dict[str, Any] = {
        "name": "documents/one",
        "document_type": ADDRESS,
        "issuer": MINISTRY,
        "subjects": (CITIZEN,),
        "subject_salts": (bytes([1]) * 32,),
        "title": "",
        "media_type": "application/pdf",
        "size_bytes": 4,
        "content_sha256": bytes([2]) * 32,
        "content_salt": bytes([3]) * 32,
        "signatures": (Signature(b"certificate", 1, b"signature", CLERK),),
        "verification_code": "0" * 16,
        "log_index": 0,
        "create_time": NOW,
        "expire_time": None,
    }
    return Document(**{**members, **changes})


def access(**changes: Any) -> Access:
    """The record of the first bank's look-up of that document."""
    members: dict[str, Any] = {
        "name": "accesses/one",
        "event": AccessEvent.LOOKED_UP,
        "subjects": (CITIZEN,),
        "subject_salts": (bytes([4]) * 32,),
        "organization": FIRST_BANK,
        "officer": TELLER,
        "officer_salt": bytes([5]) * 32,
        "document_type": ADDRESS,
        "purpose": PURPOSE,
        "reason": "",
        "basis": "consents/one",
        "documents": ("documents/one",),
        "create_time": NOW,
        "entry_salt": bytes([7]) * 32,
    }
    return Access(**{**members, **changes})


def consent(**changes: Any) -> Consent:
    """The citizen's consent to such look-ups."""
    members: dict[str, Any] = {
        "name": "consents/one",
        "subject": CITIZEN,
        "organization": FIRST_BANK,
        "document_type": ADDRESS,
        "purpose": PURPOSE,
        "purpose_text": "",
        "create_time": NOW,
        "expire_time": NOW.replace(year=NOW.year + 1),
        "grant_salt": bytes([6]) * 32,
        "grant_text_salt": bytes([8]) * 32,
    }
    return Consent(**{**members, **changes})


def identity_event(**changes: Any) -> IdentityEvent:
    """Two operators had a certificate issued over the citizen's name."""
    members: dict[str, Any] = {
        "number": 1,
        "kind": IdentityEventKind.CERTIFIED,
        "basis": IdentityEventBasis.APPROVED,
        "time": NOW,
        "subject": CITIZEN,
        "organization": "",
        "fingerprint": bytes([9]) * 32,
        "role": 0,
        "officers": ("subjects/first-operator", "subjects/second-operator"),
        "salts": tuple(bytes([number]) * 32 for number in range(10, 14)),
    }
    return IdentityEvent(**{**members, **changes})


def membership_event(**changes: Any) -> IdentityEvent:
    """The ministry made the citizen its officer."""
    members: dict[str, Any] = {
        "kind": IdentityEventKind.MEMBERSHIP_ADDED,
        "basis": IdentityEventBasis.ALONE,
        "organization": MINISTRY,
        "fingerprint": b"",
        "role": int(Role.ROLE_OFFICER),
        "officers": ("subjects/first-operator",),
        "salts": (bytes([10]) * 32, bytes([11]) * 32),
    }
    return identity_event(**{**members, **changes})


def document_type(**changes: Any) -> DocumentType:
    """The address certificates of the ministry, which a law opens to the first bank."""
    members: dict[str, Any] = {
        "name": ADDRESS,
        "display_names": {"en": "Address certificate"},
        "issuers": (MINISTRY,),
        "legal_bases": (LegalBasis(FIRST_BANK, PURPOSE, LAW, None),),
        "attributes": (Attribute("/address", AttributeKind.TEXT, True, {}),),
    }
    return DocumentType(**{**members, **changes})


def look_up(**changes: Any) -> LookUp:
    """The first bank's look-up of the citizen's address certificates."""
    members: dict[str, Any] = {
        "subject": CITIZEN,
        "document_type": ADDRESS,
        "organization": FIRST_BANK,
        "officer": TELLER,
        "purpose": PURPOSE,
        "reason": "",
    }
    return LookUp(**{**members, **changes})


def request_event(**changes: Any) -> RequestEvent:
    """The citizen's address certificate was issued."""
    members: dict[str, Any] = {
        "request": "serviceRequests/one",
        "public_service": "publicServices/address-certificate",
        "applicant": CITIZEN,
        "number": 1,
        "change": b'{"state":"issued"}',
        "time": NOW,
        "entry_salt": bytes([7]) * 32,
    }
    return RequestEvent(**members | changes)
