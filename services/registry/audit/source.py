"""Every record that has entries in the log, with its entries made anew."""

from __future__ import annotations

from collections.abc import AsyncIterator

from sqlalchemy.ext.asyncio import AsyncConnection

from qagazsyz.receipts import ENTRY_VERSIONS
from services.registry.audit import store
from services.registry.audit.record_audit import Record
from services.registry.model.accesses import Access
from services.registry.model.consents import Consent
from services.registry.model.document_types import DocumentType, TypeChange, change_of
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


async def all_records(connection: AsyncConnection) -> AsyncIterator[Record]:
    """Yield a record for each entry of documents, consents, accesses, types, identity's events and
    changes of requests."""
    async for document, key in store.stream_documents(connection):
        for record in _of_document(document, key):
            yield record
    async for consent in store.stream_consents(connection):
        for record in _of_consent(consent):
            yield record
    async for access in store.stream_accesses(connection):
        yield _of_access(access)
    async for change, is_newest, document_type in store.stream_type_changes(connection):
        yield _of_type_change(change, is_newest, document_type)
    async for event in store.stream_identity_events(connection):
        yield _of_identity_event(event)
    async for moved in store.stream_request_events(connection):
        yield _of_request_event(moved)


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
    try:
        members = registered_entry(document, erased=is_erased)
    except ValueError:
        # It has fewer salts than subjects: some were lost.
        members = {"subjects": None}
    if not is_erased and _statement_key(document) != key:
        # The media type, which only the signatures cover, is not the signed one: add a member that
        # no entry has, so that the record differs.
        members["statement"] = "changed"
    return Record(
        document.name,
        document.log_index,
        members,
        exact=not is_erased,
        versions=ENTRY_VERSIONS,
    )


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
    records = [Record(consent.name, consent.grant_index, consented_entry(consent))]
    if consent.withdraw_time is not None and consent.withdraw_index is not None:
        withdrawn = withdrawn_entry(
            consent, consent.withdraw_time, consent.withdraw_salt, consent.withdraw_text_salt
        )
        records.append(Record(consent.name, consent.withdraw_index, withdrawn))
    return records


def _of_access(access: Access) -> Record:
    try:
        members = accessed_entry(access)
    except ValueError:
        # It has fewer salts than subjects: some were lost.
        members = {"subjects": None}
    return Record(access.name, access.log_index, members)


def _of_type_change(
    change: TypeChange, is_newest: bool, document_type: DocumentType | None
) -> Record:
    """document_type: what the type is now, which its newest change has made; None if it is gone."""
    members = type_changed_entry(change)
    if is_newest and document_type is not None:
        members = type_changed_entry(change_of(document_type, change.time))
    elif is_newest:
        members = {"document_type": None}
    return Record(change.document_type, change.log_index, members)


def _of_identity_event(event: IdentityEvent) -> Record:
    try:
        members = identity_entry(event)
    except ValueError:
        # It has fewer salts than commitments: some were lost.
        members = {"subject": None}
    return Record(f"event {event.number} of identity", event.log_index, members)


def _of_request_event(event: RequestEvent) -> Record:
    name = f"change {event.number} of {event.request}"
    return Record(name, event.log_index, requested_entry(event))
