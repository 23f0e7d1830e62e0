"""Entries of the log: the public, permanent record of each event.

An entry names no person and reveals no content: subjects, officers and the content's hash are
commitments, SHA-256(salt || value), and their openings go only to those who may know the value
(receipts.proto). docs/receipts.md lists each event's members. The functions here return the
members; transparency_log.encode_entry makes canonical JSON of them. The audit makes the same
entries again from the database's rows.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from qagazsyz.canonical_texts import format_microseconds, format_seconds
from qagazsyz.receipts import ENTRY_VERSIONS, commitment
from services.registry.model.accesses import Access, AccessEvent
from services.registry.model.consents import Consent
from services.registry.model.document_types import TypeChange
from services.registry.model.documents import Document
from services.registry.model.identity_events import IdentityEvent, IdentityEventKind
from services.registry.model.request_events import RequestEvent
from services.runtime.access import Role

# Which version is written is a setting; both are read. Version 1 has documents of accesses in
# clear, and neither reasons, consents of accesses, texts of purposes, types nor identity's events.
NEWEST_VERSION = max(ENTRY_VERSIONS)
# As long as the hash, so that equal values have unequal commitments.
SALT_BYTES = 32

Entry = dict[str, Any]

_ACCESS_EVENTS = {
    AccessEvent.LOOKED_UP: "looked_up",
    AccessEvent.REFUSED: "refused",
    AccessEvent.DOWNLOADED: "downloaded",
}
_IDENTITY_EVENTS = {
    IdentityEventKind.CERTIFIED: "certified",
    IdentityEventKind.CERTIFICATE_REGISTERED: "certificate_registered",
    IdentityEventKind.CERTIFICATE_REVOKED: "certificate_revoked",
    IdentityEventKind.MEMBERSHIP_ADDED: "membership_added",
    IdentityEventKind.MEMBERSHIP_REMOVED: "membership_removed",
    IdentityEventKind.PHONE_ACTIVATED: "phone_activated",
    IdentityEventKind.PHONE_ENDED: "phone_ended",
}


@dataclass(frozen=True, slots=True)
class Opening:
    """The salt and value of one commitment of an entry."""

    field: str
    salt: bytes
    value: bytes


# --- Documents ---------------------------------------------------------------


def registered_entry(
    document: Document, *, erased: bool = False, version: int = NEWEST_VERSION
) -> Entry:
    """Return the entry of a document's registration; for an erased document, the members that can
    still be made. Raises ValueError unless each subject has its salt."""
    entry = _entry("registered", document.create_time, version)
    entry["document"] = document.name
    entry["document_type"] = document.document_type
    entry["issuer"] = document.issuer
    if not erased:
        entry["content_sha256"] = commitment(document.content_salt, document.content_sha256)
        entry["subjects"] = _commit_all(document.subject_salts, document.subjects)
        entry["signatures"] = [
            hashlib.sha256(each.signature).hexdigest() for each in document.signatures
        ]
        if version > 1:
            entry |= _shown_by(document)
    if document.expire_time is not None:
        entry["expire_time"] = format_seconds(document.expire_time)
    return entry


def _shown_by(document: Document) -> Entry:
    """Return what an entry of version 2 commits to for the audit alone: no receipt opens it.

    The salts derive from the content's salt and, but for the code's own, from the code: whoever
    checks a document by its content's hash is given that salt, and must not try titles with it.
    """
    code = document.verification_code.encode()
    secret = hmac.digest(document.content_salt, code, "sha256")
    return {
        "title": commitment(_derive_salt(secret, "title"), document.title.encode()),
        "verification_code": commitment(
            _derive_salt(document.content_salt, "verification_code"), code
        ),
        "signers": [
            commitment(_derive_salt(secret, f"signers[{position}]"), each.signer.encode())
            for position, each in enumerate(document.signatures)
        ],
        "certificates": [
            commitment(_derive_salt(secret, f"certificates[{position}]"), each.certificate)
            for position, each in enumerate(document.signatures)
        ],
    }


def revoked_entry(
    document: str, issuer: str, time: datetime, version: int = NEWEST_VERSION
) -> Entry:
    """Return the entry of a revocation."""
    return {**_entry("revoked", time, version), "document": document, "issuer": issuer}


def erased_entry(
    document: str, issuer: str, time: datetime, version: int = NEWEST_VERSION
) -> Entry:
    """Return the entry of an erasure."""
    return {**_entry("erased", time, version), "document": document, "issuer": issuer}


def type_changed_entry(change: TypeChange) -> Entry:
    """Return the entry of a created or updated type: who may look without consent is public."""
    return {
        **_entry("type_changed", change.time, 2),
        "document_type": change.document_type,
        "type_sha256": change.type_sha256.hex(),
        "issuers": list(change.issuers),
        "legal_bases": [dict(basis) for basis in change.legal_bases],
    }


# --- Consents and accesses ---------------------------------------------------


def consented_entry(consent: Consent) -> Entry:
    """Return the entry of a granted consent, of version 2 if its text has a salt."""
    return _consent_entry(
        "consented", consent, consent.create_time, consent.grant_salt, consent.grant_text_salt
    )


def withdrawn_entry(consent: Consent, time: datetime, salt: bytes, text_salt: bytes) -> Entry:
    """Return the entry of a withdrawn consent, of version 2 if its text has a salt."""
    return _consent_entry("withdrawn", consent, time, salt, text_salt)


def accessed_entry(access: Access) -> Entry:
    """Return the entry of a look-up, granted or refused, or of a download; of version 2 if the
    access has an entry_salt."""
    version = 2 if access.entry_salt else 1
    entry = _entry(_ACCESS_EVENTS[access.event], access.create_time, version)
    entry["access"] = access.name
    entry["organization"] = access.organization
    entry["officer"] = commitment(access.officer_salt, access.officer.encode())
    entry["document_type"] = access.document_type
    entry["purpose"] = access.purpose
    entry["basis"] = _kind_of(access.basis)
    entry["subjects"] = _commit_all(access.subject_salts, access.subjects)
    if version == 1:
        entry["documents"] = list(access.documents)
    else:
        entry |= _commitments_of(access)
    if access.attributes:
        entry["attributes"] = list(access.attributes)
    return entry


def _commitments_of(access: Access) -> Entry:
    """Return what an access' entry commits to from version 2 on. A document's name in clear would
    tell everyone who saw its verification code who reads it, and join a person's documents."""
    made = {each.field: commitment(each.salt, each.value) for each in _derived_openings(access)}
    documents = [made.pop(_document_field(position)) for position, _ in enumerate(access.documents)]
    return {**made, "documents": documents}


def _derived_openings(access: Access) -> list[Opening]:
    """Return the openings whose salts derive from the access' entry_salt."""
    fields = {"reason": access.reason}
    kind = _kind_of(access.basis)
    if kind in ("consent", "request"):
        fields[kind] = access.basis
    fields |= {_document_field(position): name for position, name in enumerate(access.documents)}
    return [
        Opening(field, _derive_salt(access.entry_salt, field), value.encode())
        for field, value in fields.items()
    ]


def _document_field(position: int) -> str:
    return f"documents[{position}]"


def _derive_salt(entry_salt: bytes, field: str) -> bytes:
    """Return the salt of one field: an opening reveals it, and of the other fields nothing."""
    return hmac.digest(entry_salt, field.encode(), "sha256")


# --- Identity's events -------------------------------------------------------


def identity_entry(event: IdentityEvent) -> Entry:
    """Return the entry of a certificate's, a membership's or a phone's event.

    Raises ValueError unless each commitment has its salt.
    """
    entry = _entry(_IDENTITY_EVENTS[event.kind], event.time, 2)
    if event.organization:
        entry["organization"] = event.organization
    if event.is_of_membership:
        entry["role"] = Role.Name(event.role).removeprefix("ROLE_").lower()
    else:
        entry["by"] = event.told_basis
    entry["officers"] = []
    for each in identity_openings(event):
        committed = commitment(each.salt, each.value)
        if each.field.startswith("officers["):
            entry["officers"].append(committed)
        else:
            entry[each.field] = committed
    return entry


def identity_openings(event: IdentityEvent) -> list[Opening]:
    """Return all openings of the entry of identity's event. Raises ValueError unless each has its
    salt."""
    values = [("person" if event.is_of_membership else "subject", event.subject.encode())]
    if event.fingerprint:
        values.append(("certificate", event.fingerprint))
    values += [
        (f"officers[{position}]", officer.encode())
        for position, officer in enumerate(event.officers)
    ]
    return [
        Opening(field, salt, value)
        for (field, value), salt in zip(values, event.salts, strict=True)
    ]


# --- Changes of requests -----------------------------------------------------


def requested_entry(event: RequestEvent) -> Entry:
    """Return the entry of a request's change: all commitments, since in clear anybody could count
    groups of one and match times."""
    committed = {
        each.field: commitment(each.salt, each.value) for each in requested_openings(event)
    }
    return {**_entry("requested", event.time, 2), **committed}


def requested_openings(event: RequestEvent) -> list[Opening]:
    """Return all openings of the entry of a request's change."""
    fields = {
        "request": event.request.encode(),
        "public_service": event.public_service.encode(),
        "change": event.change,
    }
    return [
        Opening(field, _derive_salt(event.entry_salt, field), value)
        for field, value in fields.items()
    ]


# --- Openings ----------------------------------------------------------------


def document_openings(document: Document) -> list[Opening]:
    """Return all openings of a registration's entry, none once the document is erased."""
    return [*content_opening(document), *_openings(document.subject_salts, document.subjects)]


def content_opening(document: Document) -> list[Opening]:
    """Return the opening of the content's hash alone."""
    if not document.content_salt:
        return []
    return [Opening("content_sha256", document.content_salt, document.content_sha256)]


def grant_openings(consent: Consent) -> list[Opening]:
    """Return the openings of the entry of a consent's grant."""
    return _consent_openings(consent, consent.grant_salt, consent.grant_text_salt)


def withdrawal_openings(consent: Consent) -> list[Opening]:
    """Return the openings of the entry of a consent's withdrawal."""
    return _consent_openings(consent, consent.withdraw_salt, consent.withdraw_text_salt)


def access_openings(access: Access, documents: Iterable[str]) -> list[Opening]:
    """Return the openings of an access's entry, of its documents those that the reader may know."""
    known = {name.encode() for name in documents}
    derived = _derived_openings(access) if access.entry_salt else []
    return [
        Opening("officer", access.officer_salt, access.officer.encode()),
        *_openings(access.subject_salts, access.subjects),
        *(
            each
            for each in derived
            if not each.field.startswith("documents[") or each.value in known
        ),
    ]


def _entry(event: str, time: datetime, version: int) -> Entry:
    return {"v": version, "event": event, "time": format_microseconds(time)}


def _consent_entry(
    event: str, consent: Consent, time: datetime, salt: bytes, text_salt: bytes
) -> Entry:
    entry = {
        **_entry(event, time, 2 if text_salt else 1),
        "consent": consent.name,
        "organization": consent.organization,
        "document_type": consent.document_type,
        "purpose": consent.purpose,
        "subjects": _commit_all([salt], [consent.subject]),
        "expire_time": format_microseconds(consent.expire_time),
    }
    if text_salt:
        entry["purpose_text"] = commitment(text_salt, consent.purpose_text.encode())
    return entry


def _consent_openings(consent: Consent, salt: bytes, text_salt: bytes) -> list[Opening]:
    openings = _openings([salt], [consent.subject])
    if text_salt:
        openings.append(Opening("purpose_text", text_salt, consent.purpose_text.encode()))
    return openings


def _kind_of(basis: str) -> str:
    """Return the kind of an access' basis, without its name: a consent's or a request's name would
    link its subject's other accesses to this one."""
    if basis in ("", "issuer"):
        return basis
    if basis.startswith("serviceRequests/"):
        return "request"
    return "consent" if basis.startswith("consents/") else "law"


def _commit_all(salts: Sequence[bytes], values: Sequence[str]) -> list[str]:
    return [commitment(salt, value.encode()) for salt, value in zip(salts, values, strict=True)]


def _openings(salts: Sequence[bytes], values: Sequence[str]) -> list[Opening]:
    return [
        Opening(f"subjects[{index}]", salt, value.encode())
        for index, (salt, value) in enumerate(zip(salts, values, strict=False))
    ]
