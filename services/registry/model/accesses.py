"""Accesses: the records of who looked up or downloaded whose documents, and what a record allows.

A look-up needs the subject's consent, or a law that the document's type names (its basis). The
basis is determined here, from the rows that the store reads in the record's own transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import IntEnum

from services.registry.model.consents import Consent
from services.registry.model.document_types import DocumentType

# "good for 15 minutes" (documents.proto, GetDocumentRequest.access).
ACCESS_LIFETIME = timedelta(minutes=15)
# A look-up finds the newest documents, at most so many: one log entry commits to them all, 67 bytes
# each, in 64 KiB at most (C2SP tlog-tiles, entry bundles).
LOOK_UP_LIMIT = 900

# The basis of a download by the document's issuer (consents.proto, Access.basis).
BASIS_ISSUER = "issuer"


class AccessEvent(IntEnum):
    """Numbered as qagazsyz.registry.v1.AccessEvent."""

    LOOKED_UP = 1
    REFUSED = 2
    DOWNLOADED = 3


@dataclass(frozen=True, slots=True)
class Access:
    """One look-up, granted or refused, or one download by an organization."""

    name: str
    event: AccessEvent
    subjects: tuple[str, ...]
    subject_salts: tuple[bytes, ...]
    organization: str
    officer: str
    officer_salt: bytes
    document_type: str
    purpose: str
    reason: str
    # A consent's name, a law's citation, BASIS_ISSUER, or "" where it was refused.
    basis: str
    documents: tuple[str, ...]
    create_time: datetime
    log_index: int = -1
    # Other subjects of the documents that it found, who see the record too.
    sharers: tuple[str, ...] = ()
    # JSON pointers of the attributes looked up; empty for whole documents.
    attributes: tuple[str, ...] = ()
    # From which the salts of its other commitments derive; empty where the entry is of version 1.
    entry_salt: bytes = b""

    def opens(self, document: str, organization: str, now: datetime) -> bool:
        """Return whether it allows the organization to read the document, now.

        Only the record of a granted look-up of whole documents does, for ACCESS_LIFETIME.
        """
        return (
            self.event is AccessEvent.LOOKED_UP
            and not self.attributes
            and self.organization == organization
            and document in self.documents
            and self.is_fresh(now)
        )

    def is_fresh(self, now: datetime) -> bool:
        """Return whether it is younger than ACCESS_LIFETIME."""
        return now < self.create_time + ACCESS_LIFETIME

    def seen_by(self, subject: str, own_documents: frozenset[str]) -> Access:
        """Return what the subject may see of it: of the documents found, only their own."""
        if subject in self.subjects:
            return self
        return replace(
            self, documents=tuple(name for name in self.documents if name in own_documents)
        )


@dataclass(frozen=True, slots=True)
class LookUp:
    """An officer's look-up of a subject's documents, or of single attributes."""

    subject: str
    document_type: str
    organization: str
    officer: str
    purpose: str
    reason: str
    attributes: tuple[str, ...] = ()


def basis_of(
    look_up: LookUp,
    *,
    consents: Sequence[Consent],
    document_type: DocumentType | None,
    now: datetime,
) -> str:
    """Return the look-up's basis: a consent's name, else a law's citation, else "".

    consents: the subject's.
    """
    for consent in consents:
        if consent.covers(
            subject=look_up.subject,
            organization=look_up.organization,
            document_type=look_up.document_type,
            purpose=look_up.purpose,
            now=now,
        ):
            return consent.name
    if document_type is None:
        return ""
    return document_type.citation_for(look_up.organization, look_up.purpose, now)
