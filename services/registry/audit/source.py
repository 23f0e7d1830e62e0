"""Every record that has entries in the log, made into entries anew for the audit to compare."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from sqlalchemy import Column, Table, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.registry.audit.audit import Record
from services.registry.documents.store import documents_of
from services.registry.lookups.store import accesses_of, consent_of
from services.registry.model import log_entries
from services.registry.model.documents import Document
from services.registry.model.statements import encode_statement, statement_key
from services.registry.tables import accesses, consents, documents

# Read at once, with all that belongs to them.
_PAGE = 500


async def all_records(connection: AsyncConnection) -> AsyncIterator[Record]:
    """Documents, consents and accesses, each as often as it has entries."""
    async for page in _pages(connection, documents, documents.c.name):
        keys = {row.name: row.statement_key for row in page}
        for document in await documents_of(connection, page):
            for record in _of_document(document, keys[document.name]):
                yield record
    async for page in _pages(connection, consents, consents.c.name):
        for consent in map(consent_of, page):
            granted = log_entries.consented_entry(consent)
            yield Record(consent.name, consent.grant_index, granted)
            if consent.withdraw_time is not None and consent.withdraw_index is not None:
                withdrawn = log_entries.withdrawn_entry(
                    consent, consent.withdraw_time, consent.withdraw_salt
                )
                yield Record(consent.name, consent.withdraw_index, withdrawn)
    async for page in _pages(connection, accesses, accesses.c.name):
        for access in await accesses_of(connection, page):
            try:
                made = log_entries.accessed_entry(access)
            except ValueError:
                made = {"subjects": None}
            yield Record(access.name, access.log_index, made)


def _of_document(document: Document, key: bytes | None) -> list[Record]:
    records = [_registration(document, key)]
    if document.revoke_time is not None and document.revoke_index is not None:
        revoked = log_entries.revoked_entry(document.name, document.issuer, document.revoke_time)
        records.append(Record(document.name, document.revoke_index, revoked))
    if document.erase_time is not None and document.erase_index is not None:
        erased = log_entries.erased_entry(document.name, document.issuer, document.erase_time)
        records.append(Record(document.name, document.erase_index, erased))
    return records


def _registration(document: Document, key: bytes | None) -> Record:
    is_erased = document.erase_time is not None
    try:
        members = log_entries.registered_entry(document, erased=is_erased)
    except ValueError:
        # As many salts as subjects belong to it: some were lost.
        members = {"subjects": None}
    if not is_erased and _statement_key(document) != (key and bytes(key)):
        # What only the signatures cover, the media type, is not what was signed: a member that
        # no entry holds makes it differ.
        members["statement"] = "changed"
    return Record(document.name, document.log_index, members, exact=not is_erased)


def _statement_key(document: Document) -> bytes:
    signed = encode_statement(
        content_sha256=document.content_sha256,
        document_type=document.document_type,
        media_type=document.media_type,
        subjects=document.subjects,
        expire_time=document.expire_time,
    )
    return statement_key(document.issuer, signed)


async def _pages(
    connection: AsyncConnection, table: Table, name: Column[str]
) -> AsyncIterator[list[Any]]:
    last = ""
    while True:
        statement = select(table).where(name > last).order_by(name).limit(_PAGE)
        rows = list((await connection.execute(statement)).all())
        if not rows:
            return
        yield rows
        last = rows[-1].name
