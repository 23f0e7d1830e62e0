"""Every record that has entries in the log, with its entries made anew."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from qagazsyz.receipts import ENTRY_VERSIONS
from services.registry.audit import store
from services.registry.audit.record_audit import Record
from services.registry.model.accesses import Access
from services.registry.model.consents import Consent
from services.registry.model.document_types import DocumentType, TypeChange, change_of, etag_of
from services.registry.model.documents import Document
from services.registry.model.identity_events import IdentityEvent
from services.registry.model.log_entries import (
    accessed_entry,
    consented_entry,
    erased_entry,
    identity_entry,
    registered_entry,
    requested_entry,
    revoked_entry,
    type_changed_entry,
    withdrawn_entry,
)
from services.registry.model.request_events import RequestEvent
from services.registry.model.statements import StatementVersion, encode_statement, statement_key

# Members of a registration's entry since it commits to all that is shown of a document.
_SHOWN = frozenset({"title", "verification_code", "signers", "certificates"})


async def all_records(connection: AsyncConnection) -> AsyncIterator[Record]:
    """Yield a record for each entry of documents, consents, accesses, types, identity's events and
    changes of requests."""
    async for document, key in store.stream_documents(connection):
        if isinstance(document, store.Unreadable):
            yield _of_unreadable(document)
            continue
        for record in _of_document(document, key):
            yield record
    async for consent in store.stream_consents(connection):
        for record in _of_consent(consent):
            yield record
    async for access, sharers in store.stream_accesses(connection):
        if isinstance(access, store.Unreadable):
            yield _of_unreadable(access)
        else:
            yield _of_access(access, sharers)
    async for change, is_newest, document_type in store.stream_type_changes(connection):
        yield _of_type_change(change, is_newest, document_type)
    async for event in store.stream_identity_events(connection):
        yield _of_identity_event(event)
    async for moved in store.stream_request_events(connection):
        yield _of_request_event(moved)


def _of_unreadable(row: store.Unreadable) -> Record:
    flaws = ["cannot be read: a column has a value that no service writes"]
    return Record(row.name, row.log_index, {}, exact=False, flaws=flaws)


def _of_document(document: Document, key: bytes | None) -> list[Record]:
    records = [_registration(document, key)]
    if document.revoke_time is not None and document.revoke_index is not None:
        revoked = revoked_entry(document.name, document.issuer, document.revoke_time)
        records.append(
            Record(document.name, document.revoke_index, revoked, versions=ENTRY_VERSIONS)
        )
    if document.erase_time is not None and document.erase_index is not None:
        erased = erased_entry(document.name, document.issuer, document.erase_time)
        records.append(Record(document.name, document.erase_index, erased, versions=ENTRY_VERSIONS))
    return records


def _registration(document: Document, key: bytes | None) -> Record:
    """key: the stored statement key."""
    is_erased = document.erase_time is not None
    flaws = [
        *_halves("revoke", document.revoke_time, document.revoke_index),
        *_halves("erase", document.erase_time, document.erase_index),
        *(_left_after_erasure(document, key) if is_erased else ()),
    ]
    try:
        members = registered_entry(document, erased=is_erased)
    except ValueError:
        # It has fewer salts than subjects: some were lost.
        members = {"subjects": None}
    if not is_erased and _statement_key(document) != key:
        # Only the signatures cover the media type.
        flaws.append("media_type or statement_key is not of the signed statement")
    return Record(
        document.name,
        document.log_index,
        members,
        exact=not is_erased,
        versions=ENTRY_VERSIONS,
        optional=_SHOWN,
        made_with=dict.fromkeys(_SHOWN - {"verification_code"}, "verification_code"),
        flaws=flaws,
    )


def _halves(change: str, time: datetime | None, index: int | None) -> list[str]:
    """Return the flaw of a change that has its time or its entry only."""
    if time is not None and index is None:
        return [f"{change}_time without {change}_index: it has no entry"]
    if time is None and index is not None:
        return [f"{change}_index without {change}_time"]
    return []


def _left_after_erasure(document: Document, key: bytes | None) -> list[str]:
    """Return a flaw for each column that its erasure should have emptied."""
    left = {
        "title": document.title,
        "content_sha256": document.content_sha256,
        "content_salt": document.content_salt,
        "statement_key": key,
        "salt": any(document.subject_salts),
        "signatures": document.signatures,
    }
    return [f"was erased, and {column} was not" for column, value in left.items() if value]


def _statement_key(document: Document) -> bytes:
    statement = encode_statement(
        version=StatementVersion.WITHOUT_ISSUER,
        issuer=document.issuer,
        content_sha256=document.content_sha256,
        document_type=document.document_type,
        media_type=document.media_type,
        subjects=document.subjects,
        expire_time=document.expire_time,
    )
    return statement_key(document.issuer, statement)


def _of_consent(consent: Consent) -> list[Record]:
    flaws = _halves("withdraw", consent.withdraw_time, consent.withdraw_index)
    records = [Record(consent.name, consent.grant_index, consented_entry(consent), flaws=flaws)]
    if consent.withdraw_time is not None and consent.withdraw_index is not None:
        withdrawn = withdrawn_entry(
            consent, consent.withdraw_time, consent.withdraw_salt, consent.withdraw_text_salt
        )
        records.append(Record(consent.name, consent.withdraw_index, withdrawn))
    return records


def _of_access(access: Access, sharers: frozenset[str]) -> Record:
    """sharers: the subjects of its documents whom the access does not name."""
    flaws = []
    if frozenset(access.sharers) != sharers:
        flaws.append("its sharers (subject in access_subjects) are not those of its documents")
    try:
        members = accessed_entry(access)
    except ValueError:
        # It has fewer salts than subjects: some were lost.
        members = {"subjects": None}
    return Record(access.name, access.log_index, members, flaws=flaws)


def _of_type_change(
    change: TypeChange, is_newest: bool, document_type: DocumentType | None
) -> Record:
    """document_type: what the type is now, which its newest change has made; None if it is gone."""
    members = type_changed_entry(change)
    flaws = []
    if is_newest and document_type is None:
        flaws.append("is gone, or cannot be read")
    elif is_newest and document_type is not None:
        present = type_changed_entry(change_of(document_type, change.time))
        differing = [name for name in present if present[name] != members[name]]
        if differing:
            flaws.append(f"is not what its newest change made, in {', '.join(differing)}")
        if document_type.etag != etag_of(document_type):
            flaws.append("its etag is not its own")
    return Record(change.document_type, change.log_index, members, flaws=flaws)


def _of_identity_event(event: IdentityEvent) -> Record:
    try:
        members = identity_entry(event)
    except ValueError:
        # It has fewer salts than commitments: some were lost.
        members = {"subject": None}
    flaws = ["role without a membership"] if event.role and not event.is_of_membership else []
    return Record(f"event {event.number} of identity", event.log_index, members, flaws=flaws)


def _of_request_event(event: RequestEvent) -> Record:
    name = f"change {event.number} of {event.request}"
    return Record(name, event.log_index, requested_entry(event))
