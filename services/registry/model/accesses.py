"""Accesses: the record of who looked at whose documents, and what such a record opens.

A look-up rests on the subject's consent or on a law that the document's type
names. Whether it does is decided here, from what the store read within the
transaction that keeps the record.
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
# The newest of a look-up. Their names stand in one log entry, which has 64 KiB at most
# (C2SP tlog-tiles, entry bundles).
LOOK_UP_LIMIT = 1_000

# What a download by the document's issuer rests on (consents.proto, Access.basis).
BASIS_ISSUER = "issuer"


class AccessEvent(IntEnum):
    """qagazsyz.registry.v1.AccessEvent."""

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
    # Who shares a document that it found, and sees it for that.
    sharers: tuple[str, ...] = ()
    # The JSON pointers that were asked for; none where whole documents were.
    attributes: tuple[str, ...] = ()

    def opens(self, document: str, organization: str, now: datetime) -> bool:
        """Whether it lets the organization come to the document still.

        Only a look-up of whole documents that was granted does.
        """
        return (
            self.event is AccessEvent.LOOKED_UP
            and not self.attributes
            and self.organization == organization
            and document in self.documents
            and self.is_fresh(now)
        )

    def is_fresh(self, now: datetime) -> bool:
        return now < self.create_time + ACCESS_LIFETIME

    def seen_by(self, subject: str, own_documents: frozenset[str]) -> Access:
        """What the subject may see of it: of the documents found, only their own."""
        if subject in self.subjects:
            return self
        return replace(
            self, documents=tuple(name for name in self.documents if name in own_documents)
        )


@dataclass(frozen=True, slots=True)
class LookUp:
    """What an officer asks for."""

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
    """What the look-up rests on: a consent's name, a law's citation, or "" for nothing.

    consents: those of the subject; the subject's own word goes before the law.
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
