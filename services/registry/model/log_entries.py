"""Entries of the log: the public, permanent record of each event.

An entry names no person and reveals no content: subjects, officers and the content's hash are
commitments, SHA-256(salt || value), and their openings go only to those who may know the value
(receipts.proto). docs/receipts.md lists each event's members. The functions here return the
members; transparency_log.encode_entry makes canonical JSON of them. The audit makes the same
entries again from the database's rows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from qagazsyz.receipts import commitment
from services.registry.model.accesses import Access, AccessEvent
from services.registry.model.consents import Consent
from services.registry.model.documents import Document
from services.registry.model.statements import format_microseconds, format_seconds

ENTRY_VERSION = 1
# As long as the hash, so that equal values have unequal commitments.
SALT_BYTES = 32

Entry = dict[str, Any]

_ACCESS_EVENTS = {
    AccessEvent.LOOKED_UP: "looked_up",
    AccessEvent.REFUSED: "refused",
    AccessEvent.DOWNLOADED: "downloaded",
}


@dataclass(frozen=True, slots=True)
class Opening:
    """The salt and value of one commitment of an entry."""

    field: str
    salt: bytes
    value: bytes


def registered_entry(document: Document, *, erased: bool = False) -> Entry:
    """Return the entry of a document's registration; for an erased document, the members that can
    still be made. Raises ValueError unless each subject has its salt."""
    entry = _entry("registered", document.create_time)
    entry["document"] = document.name
    entry["document_type"] = document.document_type
    entry["issuer"] = document.issuer
    if not erased:
        entry["content_sha256"] = commitment(document.content_salt, document.content_sha256)
        entry["subjects"] = _commit_all(document.subject_salts, document.subjects)
        entry["signatures"] = [
            hashlib.sha256(each.signature).hexdigest() for each in document.signatures
        ]
    if document.expire_time is not None:
        entry["expire_time"] = format_seconds(document.expire_time)
    return entry


def revoked_entry(document: str, issuer: str, time: datetime) -> Entry:
    """Return the entry of a revocation."""
    return {**_entry("revoked", time), "document": document, "issuer": issuer}


def erased_entry(document: str, issuer: str, time: datetime) -> Entry:
    """Return the entry of an erasure."""
    return {**_entry("erased", time), "document": document, "issuer": issuer}


def consented_entry(consent: Consent) -> Entry:
    """Return the entry of a granted consent."""
    return _consent_entry("consented", consent, consent.create_time, consent.grant_salt)


def withdrawn_entry(consent: Consent, time: datetime, salt: bytes) -> Entry:
    """Return the entry of a withdrawn consent."""
    return _consent_entry("withdrawn", consent, time, salt)


def accessed_entry(access: Access) -> Entry:
    """Return the entry of a look-up, granted or refused, or of a download."""
    entry = _entry(_ACCESS_EVENTS[access.event], access.create_time)
    entry["access"] = access.name
    entry["organization"] = access.organization
    entry["officer"] = commitment(access.officer_salt, access.officer.encode())
    entry["document_type"] = access.document_type
    entry["purpose"] = access.purpose
    entry["basis"] = _kind_of(access.basis)
    entry["subjects"] = _commit_all(access.subject_salts, access.subjects)
    entry["documents"] = list(access.documents)
    if access.attributes:
        entry["attributes"] = list(access.attributes)
    return entry


def document_openings(document: Document) -> list[Opening]:
    """Return all openings of a registration's entry, none once the document is erased."""
    return [*content_opening(document), *_openings(document.subject_salts, document.subjects)]


def content_opening(document: Document) -> list[Opening]:
    """Return the opening of the content's hash alone."""
    if not document.content_salt:
        return []
    return [Opening("content_sha256", document.content_salt, document.content_sha256)]


def consent_openings(subject: str, salt: bytes) -> list[Opening]:
    """Return the openings of the entry of a consent's grant or withdrawal."""
    return _openings([salt], [subject])


def access_openings(access: Access) -> list[Opening]:
    """Return all openings of an access's entry."""
    officer = Opening("officer", access.officer_salt, access.officer.encode())
    return [officer, *_openings(access.subject_salts, access.subjects)]


def _entry(event: str, time: datetime) -> Entry:
    return {"v": ENTRY_VERSION, "event": event, "time": format_microseconds(time)}


def _consent_entry(event: str, consent: Consent, time: datetime, salt: bytes) -> Entry:
    return {
        **_entry(event, time),
        "consent": consent.name,
        "organization": consent.organization,
        "document_type": consent.document_type,
        "purpose": consent.purpose,
        "subjects": _commit_all([salt], [consent.subject]),
        "expire_time": format_microseconds(consent.expire_time),
    }


def _kind_of(basis: str) -> str:
    """Return the kind of an access' basis, without its name: a consent's name would link its
    subject's other accesses to this one."""
    if basis in ("", "issuer"):
        return basis
    return "consent" if basis.startswith("consents/") else "law"


def _commit_all(salts: Sequence[bytes], values: Sequence[str]) -> list[str]:
    return [commitment(salt, value.encode()) for salt, value in zip(salts, values, strict=True)]


def _openings(salts: Sequence[bytes], values: Sequence[str]) -> list[Opening]:
    return [
        Opening(f"subjects[{index}]", salt, value.encode())
        for index, (salt, value) in enumerate(zip(salts, values, strict=False))
    ]
