"""Entries of the log: what each event leaves there for everybody to read, for ever.

Nothing in an entry names a person or gives a content away: subjects, officers
and the content's hash stand in it as commitments, SHA-256(salt || value), and
their openings go only to those who may know the value (receipts.proto). The
members of each event are listed in docs/receipts.md. What is returned here is
plain; log.encode_entry makes canonical JSON of it. The audit makes the same
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
from services.registry.model.statements import in_microseconds, in_seconds

ENTRY_VERSION = 1
# As long as the hash: no two commitments look alike, whatever they hold.
SALT_SIZE = 32

Entry = dict[str, Any]

_ACCESS_EVENTS = {
    AccessEvent.LOOKED_UP: "looked_up",
    AccessEvent.REFUSED: "refused",
    AccessEvent.DOWNLOADED: "downloaded",
}


@dataclass(frozen=True, slots=True)
class Opening:
    """What opens one commitment of an entry."""

    field: str
    salt: bytes
    value: bytes


def registered(document: Document, *, erased: bool = False) -> Entry:
    """The entry of a document's registration; of an erased one, what can be made of it still.

    Raises ValueError where not each subject has its salt.
    """
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
        entry["expire_time"] = in_seconds(document.expire_time)
    return entry


def revoked(document: str, issuer: str, time: datetime) -> Entry:
    """The entry of a revocation."""
    return {**_entry("revoked", time), "document": document, "issuer": issuer}


def erased(document: str, issuer: str, time: datetime) -> Entry:
    """The entry of an erasure."""
    return {**_entry("erased", time), "document": document, "issuer": issuer}


def consented(consent: Consent) -> Entry:
    """The entry of a consent that was given."""
    return _consent("consented", consent, consent.create_time, consent.grant_salt)


def withdrawn(consent: Consent, time: datetime, salt: bytes) -> Entry:
    """The entry of a consent that was taken back."""
    return _consent("withdrawn", consent, time, salt)


def accessed(access: Access) -> Entry:
    """The entry of a look-up, granted or refused, or of a download."""
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
    """Everything that opens a registration's entry; nothing once the document is erased."""
    return [*content_opening(document), *_openings(document.subject_salts, document.subjects)]


def content_opening(document: Document) -> list[Opening]:
    """What opens the content's hash alone."""
    if not document.content_salt:
        return []
    return [Opening("content_sha256", document.content_salt, document.content_sha256)]


def consent_openings(subject: str, salt: bytes) -> list[Opening]:
    """What opens the entry of a consent's grant or withdrawal."""
    return _openings([salt], [subject])


def access_openings(access: Access) -> list[Opening]:
    """Everything that opens an access's entry."""
    officer = Opening("officer", access.officer_salt, access.officer.encode())
    return [officer, *_openings(access.subject_salts, access.subjects)]


def _entry(event: str, time: datetime) -> Entry:
    return {"v": ENTRY_VERSION, "event": event, "time": in_microseconds(time)}


def _consent(event: str, consent: Consent, time: datetime, salt: bytes) -> Entry:
    return {
        **_entry(event, time),
        "consent": consent.name,
        "organization": consent.organization,
        "document_type": consent.document_type,
        "purpose": consent.purpose,
        "subjects": _commit_all([salt], [consent.subject]),
        "expire_time": in_microseconds(consent.expire_time),
    }


def _kind_of(basis: str) -> str:
    """What an access rested on, without saying which: a consent's name would join its
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
