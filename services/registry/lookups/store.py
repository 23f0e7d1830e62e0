"""The SQL of consents and accesses.

A look-up's record and what it rests on are read and written in one group's
transaction, so that a consent withdrawn a moment earlier, on whichever replica,
opens nothing any more.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.registry.documents.store import (
    KeptRequest,
    NothingChanged,
    RequestKey,
    Taken,
    read_documents,
    read_in_force,
    read_requests,
    read_types,
    request_is,
    request_rows,
)
from services.registry.log.group_commit import Conflict
from services.registry.log.sequencer import Committed, Sequencer
from services.registry.log.store import Rows
from services.registry.log.transparency_log import encode_entry
from services.registry.model.accesses import LOOK_UP_LIMIT, Access, AccessEvent, LookUp
from services.registry.model.consents import Consent
from services.registry.model.document_types import DocumentType
from services.registry.model.documents import Document
from services.registry.model.log_entries import Entry
from services.registry.tables import (
    access_subjects,
    accesses,
    consents,
    document_subjects,
    documents,
    requests,
)
from services.runtime.clock import Clock
from services.runtime.storage.database import Database


class ViewChanged(Exception):
    """What a look-up rested on is no longer so: look again."""


@dataclass(frozen=True, slots=True)
class LookUpView:
    """Everything that a look-up is decided from, at one moment."""

    now: datetime
    consents: tuple[Consent, ...]
    document_type: DocumentType | None
    # The subject's of the type, in force, newest first.
    documents: tuple[Document, ...]
    # What the same request_id made before, and the record of it.
    kept: KeptRequest | None
    kept_access: Access | None
    # The documents of that record, whatever became of them.
    kept_documents: tuple[Document, ...]


class RecordStore:
    """Consents and accesses in the database."""

    def __init__(self, database: Database, sequencer: Sequencer, clock: Clock) -> None:
        self._database = database
        self._sequencer = sequencer
        self._clock = clock

    # --- Consents ------------------------------------------------------------

    async def insert_consent(
        self, consent: Consent, entry: Entry, request: RequestKey | None, request_sha256: bytes
    ) -> int:
        """The log index of the grant, once it is durable. Raises Taken."""
        rows = [Rows(consents, [_consent_row(consent)], "grant_index")]
        if request is not None:
            rows.append(request_rows(request, request_sha256, consent.name))
        try:
            committed: Committed = await self._sequencer.submit([encode_entry(entry)], rows=rows)
        except Conflict:
            raise Taken from None
        return committed.indexes[0]

    async def withdraw_consent(
        self, name: str, *, time: datetime, salt: bytes, entry: Entry
    ) -> None:
        """Marks the consent as withdrawn. Raises NothingChanged where it is already."""

        async def withdraw(connection: AsyncConnection, indexes: Sequence[int]) -> None:
            changed = await connection.execute(
                update(consents)
                .where(consents.c.name == name, consents.c.withdraw_time.is_(None))
                .values(withdraw_time=time, withdraw_salt=salt, withdraw_index=indexes[0])
            )
            if changed.rowcount == 0:
                raise NothingChanged

        await self._sequencer.submit([encode_entry(entry)], withdraw)

    async def find_consent(self, name: str) -> Consent | None:
        """The consent of that name."""
        async with self._database.reading() as connection:
            return await _read_consent(connection, name)

    async def find_granted(self, key: RequestKey) -> tuple[KeptRequest, Consent] | None:
        """The consent that a request_id made."""
        async with self._database.reading() as connection:
            kept = (await read_requests(connection, [key])).get(key)
            if kept is None:
                return None
            consent = await _read_consent(connection, kept.resource)
            return None if consent is None else (kept, consent)

    async def list_consents(
        self, *, subject: str = "", organization: str = "", before: str = "", limit: int
    ) -> list[Consent]:
        """Consents of all that is given, newest first, behind the one named."""
        statement = select(consents).order_by(consents.c.name.desc()).limit(limit)
        if subject:
            statement = statement.where(consents.c.subject == subject)
        if organization:
            statement = statement.where(consents.c.organization == organization)
        if before:
            statement = statement.where(consents.c.name < before)
        async with self._database.reading() as connection:
            return [consent_of(row) for row in await connection.execute(statement)]

    # --- Look-ups ------------------------------------------------------------

    async def view_look_up(self, look_up: LookUp, request: RequestKey | None) -> LookUpView:
        """What the look-up is to be decided from, now."""
        async with self._database.reading() as connection:
            return await self._read_view(connection, look_up, request)

    async def _read_view(
        self, connection: AsyncConnection, look_up: LookUp, request: RequestKey | None
    ) -> LookUpView:
        kept = None
        kept_access = None
        kept_documents: dict[str, Document] = {}
        if request is not None:
            kept = (await read_requests(connection, [request])).get(request)
            if kept is not None:
                kept_access = await _read_access(connection, kept.resource)
        if kept_access is not None:
            kept_documents = await read_documents(connection, kept_access.documents)
        given = await connection.execute(
            select(consents).where(
                consents.c.subject == look_up.subject,
                consents.c.organization == look_up.organization,
                consents.c.document_type == look_up.document_type,
                consents.c.purpose == look_up.purpose,
            )
        )
        types = await read_types(connection, [look_up.document_type])
        # Read here, so that waiting for the transaction's turn counts.
        now = self._clock()
        found = await read_in_force(
            connection,
            subject=look_up.subject,
            document_type=look_up.document_type,
            now=now,
            limit=LOOK_UP_LIMIT,
        )
        return LookUpView(
            now=now,
            consents=tuple(consent_of(row) for row in given),
            document_type=types.get(look_up.document_type),
            documents=tuple(found),
            kept=kept,
            kept_access=kept_access,
            kept_documents=tuple(kept_documents.values()),
        )

    async def insert_look_up(
        self,
        access: Access,
        entry: Entry,
        *,
        look_up: LookUp,
        still: Callable[[LookUpView], bool],
        request: RequestKey | None,
        request_sha256: bytes,
    ) -> int:
        """The record's log index, once it is durable.

        still: whether what the transaction sees leads to the same record; where it does
        not, nothing is kept. Raises ViewChanged.
        """

        async def confirm(connection: AsyncConnection, _indexes: Sequence[int]) -> None:
            if not still(await self._read_view(connection, look_up, request)):
                raise ViewChanged
            if request is not None:
                # One of an older look-up has served its time.
                await connection.execute(delete(requests).where(request_is(request)))
                rows = request_rows(request, request_sha256, access.name)
                await connection.execute(insert(requests), list(rows.rows))

        committed = await self._sequencer.submit(
            [encode_entry(entry)], confirm, rows=_access_rows(access)
        )
        return committed.indexes[0]

    async def insert_access(self, access: Access, entry: Entry) -> int:
        """The log index of a refusal's record, once it is durable."""
        committed: Committed = await self._sequencer.submit(
            [encode_entry(entry)], rows=_access_rows(access)
        )
        return committed.indexes[0]

    async def insert_download(self, access: Access, entry: Entry) -> int:
        """The log index of a download's record. Raises NothingChanged where the document has
        been erased meanwhile."""

        async def confirm(connection: AsyncConnection, _indexes: Sequence[int]) -> None:
            erased = await connection.execute(
                select(documents.c.name).where(
                    documents.c.name.in_(access.documents), documents.c.erase_time.is_not(None)
                )
            )
            if erased.first() is not None:
                raise NothingChanged

        committed = await self._sequencer.submit(
            [encode_entry(entry)], confirm, rows=_access_rows(access)
        )
        return committed.indexes[0]

    # --- Accesses ------------------------------------------------------------

    async def find_access(self, name: str) -> Access | None:
        """The access of that name."""
        async with self._database.reading() as connection:
            return await _read_access(connection, name)

    async def list_accesses(
        self, *, subject: str = "", before: str = "", limit: int
    ) -> list[Access]:
        """Accesses that the subject sees, or all, newest first, behind the one named."""
        statement = select(accesses).order_by(accesses.c.name.desc()).limit(limit)
        if subject:
            seen = select(access_subjects.c.access).where(access_subjects.c.subject == subject)
            statement = statement.where(accesses.c.name.in_(seen))
        if before:
            statement = statement.where(accesses.c.name < before)
        async with self._database.reading() as connection:
            rows = (await connection.execute(statement)).all()
            return await accesses_of(connection, rows)

    async def own_documents(self, subject: str, names: Sequence[str]) -> frozenset[str]:
        """Those of the documents that the subject is one of the subjects of."""
        if not names:
            return frozenset()
        statement = select(document_subjects.c.document).where(
            document_subjects.c.subject == subject, document_subjects.c.document.in_(names)
        )
        async with self._database.reading() as connection:
            return frozenset((await connection.execute(statement)).scalars())


async def _read_consent(connection: AsyncConnection, name: str) -> Consent | None:
    row = (await connection.execute(select(consents).where(consents.c.name == name))).one_or_none()
    return None if row is None else consent_of(row)


async def _read_access(connection: AsyncConnection, name: str) -> Access | None:
    rows = (await connection.execute(select(accesses).where(accesses.c.name == name))).all()
    found = await accesses_of(connection, rows)
    return found[0] if found else None


async def accesses_of(connection: AsyncConnection, rows: Sequence[Row[Any]]) -> list[Access]:
    """The accesses in rows of their table, in order, with what belongs to them."""
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
        )
        for row in rows
    ]


def consent_of(row: Row[Any]) -> Consent:
    """The consent in a row of its table."""
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
    )


def _consent_row(consent: Consent) -> dict[str, Any]:
    return {
        "name": consent.name,
        "subject": consent.subject,
        "organization": consent.organization,
        "document_type": consent.document_type,
        "purpose": consent.purpose,
        "purpose_text": consent.purpose_text,
        "create_time": consent.create_time,
        "expire_time": consent.expire_time,
        "grant_salt": consent.grant_salt,
        # The first and only entry of its submission.
        "grant_index": 0,
    }


def _access_rows(access: Access) -> list[Rows]:
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
