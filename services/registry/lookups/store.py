"""The SQL of consents and accesses, and of everything that a look-up is decided from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.registry.documents.store import (
    find_documents,
    find_in_force,
    find_type,
    kept_requests,
)
from services.registry.log.store import Rows
from services.registry.model.accesses import LOOK_UP_LIMIT, Access, AccessEvent, LookUp
from services.registry.model.consents import Consent
from services.registry.model.document_types import DocumentType
from services.registry.model.documents import Document
from services.registry.tables import access_subjects, accesses, consents
from services.runtime.clock import Clock
from services.runtime.storage.kept_requests import KeptRequest, RequestKey


@dataclass(frozen=True, slots=True)
class LookUpView:
    """Everything that a look-up is decided from, at one moment."""

    now: datetime
    consents: tuple[Consent, ...]
    document_type: DocumentType | None
    # The subject's of the type, in force, newest first.
    documents: tuple[Document, ...]
    # The first request with the same request_id, and the record that it left.
    kept: KeptRequest[str] | None
    kept_access: Access | None
    # The documents of that record, in any state.
    kept_documents: tuple[Document, ...]


# --- Consents ----------------------------------------------------------------


async def find_consent(connection: AsyncConnection, name: str) -> Consent | None:
    """Return the consent of that name, or None."""
    row = (await connection.execute(select(consents).where(consents.c.name == name))).one_or_none()
    return None if row is None else consent_of(row)


async def list_consents(
    connection: AsyncConnection,
    *,
    subject: str = "",
    organization: str = "",
    before: str = "",
    limit: int,
) -> list[Consent]:
    """Return the consents that match every filter given, newest first, after the one named."""
    statement = select(consents).order_by(consents.c.name.desc()).limit(limit)
    if subject:
        statement = statement.where(consents.c.subject == subject)
    if organization:
        statement = statement.where(consents.c.organization == organization)
    if before:
        statement = statement.where(consents.c.name < before)
    return [consent_of(row) for row in await connection.execute(statement)]


async def find_consents_for(connection: AsyncConnection, look_up: LookUp) -> list[Consent]:
    """Return the subject's consents for such look-ups, expired and withdrawn ones too."""
    statement = select(consents).where(
        consents.c.subject == look_up.subject,
        consents.c.organization == look_up.organization,
        consents.c.document_type == look_up.document_type,
        consents.c.purpose == look_up.purpose,
    )
    return [consent_of(row) for row in await connection.execute(statement)]


async def withdraw_consent(
    connection: AsyncConnection,
    name: str,
    *,
    time: datetime,
    salt: bytes,
    text_salt: bytes,
    log_index: int,
) -> bool:
    """Mark the consent as withdrawn; return False if it was withdrawn before."""
    changed = await connection.execute(
        update(consents)
        .where(consents.c.name == name, consents.c.withdraw_time.is_(None))
        .values(
            withdraw_time=time,
            withdraw_salt=salt,
            withdraw_text_salt=text_salt or None,
            withdraw_index=log_index,
        )
    )
    return changed.rowcount == 1


# --- Look-ups ----------------------------------------------------------------


async def read_look_up_view(
    connection: AsyncConnection, look_up: LookUp, request: RequestKey | None, clock: Clock
) -> LookUpView:
    """Return what the look-up is decided from, as this transaction sees it."""
    kept = await kept_requests.find(connection, request) if request is not None else None
    kept_access = await find_access(connection, kept.result) if kept is not None else None
    kept_documents: dict[str, Document] = {}
    if kept_access is not None:
        kept_documents = await find_documents(connection, kept_access.documents)
    given = await find_consents_for(connection, look_up)
    document_type = await find_type(connection, look_up.document_type)
    # Read after the first statement, so that the wait for the transaction's turn counts.
    now = clock()
    found = await find_in_force(
        connection,
        subject=look_up.subject,
        document_type=look_up.document_type,
        now=now,
        limit=LOOK_UP_LIMIT,
    )
    return LookUpView(
        now=now,
        consents=tuple(given),
        document_type=document_type,
        documents=tuple(found),
        kept=kept,
        kept_access=kept_access,
        kept_documents=tuple(kept_documents.values()),
    )


# --- Accesses ----------------------------------------------------------------


async def find_access(connection: AsyncConnection, name: str) -> Access | None:
    """Return the access of that name, or None."""
    rows = (await connection.execute(select(accesses).where(accesses.c.name == name))).all()
    found = await accesses_of(connection, rows)
    return found[0] if found else None


async def list_accesses(
    connection: AsyncConnection,
    *,
    subject: str = "",
    organization: str = "",
    before: str = "",
    limit: int,
) -> list[Access]:
    """Return the accesses that the subject sees, and of an organization if one is given, newest
    first, after the one named."""
    statement = select(accesses).order_by(accesses.c.name.desc()).limit(limit)
    if organization:
        statement = statement.where(accesses.c.organization == organization)
    if subject:
        seen = select(access_subjects.c.access).where(access_subjects.c.subject == subject)
        statement = statement.where(accesses.c.name.in_(seen))
    if before:
        statement = statement.where(accesses.c.name < before)
    return await accesses_of(connection, (await connection.execute(statement)).all())


# --- From rows ---------------------------------------------------------------


async def accesses_of(connection: AsyncConnection, rows: Sequence[Row[Any]]) -> list[Access]:
    """Return the accesses in rows of their table, in order, with their subjects."""
    if not rows:
        return []
    named: dict[str, list[Row[Any]]] = {row.name: [] for row in rows}
    sharing: dict[str, list[str]] = {row.name: [] for row in rows}
    for each in await connection.execute(
        select(access_subjects)
        .where(access_subjects.c.access.in_(list(named)))
        .order_by(access_subjects.c.position)
    ):
        if each.position is None:
            sharing[each.access].append(each.subject)
        else:
            named[each.access].append(each)
    return [
        Access(
            name=row.name,
            event=AccessEvent(row.event),
            subjects=tuple(each.subject for each in named[row.name]),
            subject_salts=tuple(bytes(each.salt) for each in named[row.name]),
            organization=row.organization,
            officer=row.officer,
            officer_salt=bytes(row.officer_salt),
            document_type=row.document_type,
            purpose=row.purpose,
            reason=row.reason,
            basis=row.basis,
            documents=tuple(row.documents),
            create_time=row.create_time,
            log_index=row.log_index,
            sharers=tuple(sharing[row.name]),
            attributes=tuple(row.attributes),
            entry_salt=bytes(row.entry_salt or b""),
        )
        for row in rows
    ]


def consent_of(row: Row[Any]) -> Consent:
    """Return the consent in a row of its table."""
    return Consent(
        name=row.name,
        subject=row.subject,
        organization=row.organization,
        document_type=row.document_type,
        purpose=row.purpose,
        purpose_text=row.purpose_text,
        create_time=row.create_time,
        expire_time=row.expire_time,
        grant_salt=bytes(row.grant_salt),
        grant_index=row.grant_index,
        withdraw_time=row.withdraw_time,
        withdraw_salt=bytes(row.withdraw_salt or b""),
        withdraw_index=row.withdraw_index,
        grant_text_salt=bytes(row.grant_text_salt or b""),
        withdraw_text_salt=bytes(row.withdraw_text_salt or b""),
    )


# --- To rows -----------------------------------------------------------------


def consent_row(consent: Consent) -> Rows:
    """Return the row of a new consent. Its entry is the first of its submission."""
    row = {
        "name": consent.name,
        "subject": consent.subject,
        "organization": consent.organization,
        "document_type": consent.document_type,
        "purpose": consent.purpose,
        "purpose_text": consent.purpose_text,
        "create_time": consent.create_time,
        "expire_time": consent.expire_time,
        "grant_salt": consent.grant_salt,
        "grant_text_salt": consent.grant_text_salt or None,
        "grant_index": 0,
    }
    return Rows(consents, [row], "grant_index")


def access_rows(access: Access) -> list[Rows]:
    """Return the rows of a new access. Its entry is the first of its submission."""
    row = {
        "name": access.name,
        "event": int(access.event),
        "organization": access.organization,
        "officer": access.officer,
        "officer_salt": access.officer_salt,
        "document_type": access.document_type,
        "purpose": access.purpose,
        "reason": access.reason,
        "basis": access.basis,
        "documents": list(access.documents),
        "attributes": list(access.attributes),
        "entry_salt": access.entry_salt or None,
        "create_time": access.create_time,
        "log_index": 0,
    }
    named = [
        {"access": access.name, "subject": subject, "position": position, "salt": salt}
        for position, (subject, salt) in enumerate(
            zip(access.subjects, access.subject_salts, strict=True)
        )
    ]
    sharing = [
        {"access": access.name, "subject": subject, "position": None, "salt": None}
        for subject in access.sharers
    ]
    return [Rows(accesses, [row], "log_index"), Rows(access_subjects, [*named, *sharing])]
