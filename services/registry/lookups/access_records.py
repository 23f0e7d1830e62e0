"""New access records: of a look-up, granted or refused, and of a download."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from services.registry.model.accesses import BASIS_ISSUER, Access, AccessEvent, LookUp
from services.registry.model.documents import Document, is_issuer
from services.registry.model.log_entries import NEWEST_VERSION, SALT_BYTES
from services.registry.model.resource_names import new_name
from services.runtime.access import Caller
from services.runtime.clock import Randomness


def look_up_record(
    look_up: LookUp,
    *,
    basis: str,
    documents: Sequence[Document],
    now: datetime,
    randomness: Randomness,
    entry_version: int = NEWEST_VERSION,
) -> Access:
    """Return the record of a look-up that found these documents; without a basis, of a refusal."""
    shared = {name for document in documents for name in document.subjects}
    return Access(
        name=new_name("accesses", now, randomness),
        event=AccessEvent.LOOKED_UP if basis else AccessEvent.REFUSED,
        subjects=(look_up.subject,),
        subject_salts=(randomness(SALT_BYTES),),
        organization=look_up.organization,
        officer=look_up.officer,
        officer_salt=randomness(SALT_BYTES),
        document_type=look_up.document_type,
        purpose=look_up.purpose,
        reason=look_up.reason,
        basis=basis,
        documents=tuple(each.name for each in documents),
        create_time=now,
        sharers=tuple(sorted(shared - {look_up.subject})),
        attributes=look_up.attributes,
        entry_salt=_entry_salt(randomness, entry_version),
    )


def download_record(
    document: Document,
    officer: Caller,
    look_up: Access | None,
    *,
    now: datetime,
    randomness: Randomness,
    entry_version: int = NEWEST_VERSION,
) -> Access:
    """Return the record of a download by the officer's organization.

    look_up: the record that allows it, None for the issuer.
    """
    if is_issuer(officer, document) or look_up is None:
        purpose, reason, basis = "", "", BASIS_ISSUER
    else:
        purpose, reason, basis = look_up.purpose, look_up.reason, look_up.basis
    return Access(
        name=new_name("accesses", now, randomness),
        event=AccessEvent.DOWNLOADED,
        subjects=document.subjects,
        subject_salts=tuple(randomness(SALT_BYTES) for _ in document.subjects),
        organization=officer.organization,
        officer=officer.subject,
        officer_salt=randomness(SALT_BYTES),
        document_type=document.document_type,
        purpose=purpose,
        reason=reason,
        basis=basis,
        documents=(document.name,),
        create_time=now,
        entry_salt=_entry_salt(randomness, entry_version),
    )


def _entry_salt(randomness: Randomness, entry_version: int) -> bytes:
    return randomness(SALT_BYTES) if entry_version > 1 else b""
