"""The documents' SQL: types, documents, and what a request_id made.

Functions take a connection, so that a group's transaction can use them too;
the Store's methods are one transaction each. Whatever changes a document goes
through the sequencer, together with its entry in the log.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Select, and_, delete, insert, or_, select, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from qagazsyz.registry.v1 import receipts_pb2
from services.registry import receipts, tables
from services.registry.contents import store as content_store
from services.registry.contents.store import ContentReference
from services.registry.log.group_commit import Conflict, Submission
from services.registry.log.sequencer import Sequencer
from services.registry.log.store import Rows
from services.registry.log.transparency_log import TransparencyLog, encode_entry
from services.registry.model.attributes import Attribute, AttributeKind
from services.registry.model.document_types import DocumentType, LegalBasis
from services.registry.model.documents import Document, Signature
from services.registry.model.log_entries import Entry, Opening
from services.registry.model.statements import format_microseconds
from services.registry.tables import (
    document_signatures,
    document_subjects,
    document_types,
    documents,
    requests,
)
from services.runtime.errors import Aborted, AlreadyExists
from services.runtime.storage.database import Database

log = logging.getLogger(__name__)

# What one statement may ask for by name: within both databases' limits on parameters.
_NAMES_AT_ONCE = 5_000

# Key by key. Asked as SQLite is, PostgreSQL reads all that an organization ever requested, for as
# long as it has no statistics of the table.
_KEPT_REQUESTS = text(
    "SELECT kept.* FROM unnest(CAST(:methods AS text[]), CAST(:scopes AS text[]),"
    " CAST(:ids AS text[])) AS asked (method, scope, request_id)"
    " CROSS JOIN LATERAL (SELECT * FROM requests WHERE requests.method = asked.method"
    " AND requests.scope = asked.scope AND requests.request_id = asked.request_id LIMIT 1) AS kept"
)


class Taken(Exception):
    """Somebody else was first: the statement, the request_id or the code is there already."""


class NothingChanged(Exception):
    """The document is not in the state that the change needs; read it to see why."""


@dataclass(frozen=True, slots=True)
class RequestKey:
    """Whose request_id it is, and of what."""

    method: str
    scope: str
    request_id: str


@dataclass(frozen=True, slots=True)
class KeptRequest:
    """What a request_id made. request_sha256 is None once what it made was erased."""

    request_sha256: bytes | None
    resource: str


@dataclass(frozen=True, slots=True)
class RegistrationView:
    """What is there already of what is to be registered."""

    types: Mapping[str, DocumentType]
    kept: Mapping[RequestKey, KeptRequest]
    # By statement key.
    registered: Mapping[bytes, str]
    # Those that kept and registered name.
    documents: Mapping[str, Document]


@dataclass(frozen=True, slots=True)
class NewDocument:
    """A document with all that is stored with it."""

    document: Document
    statement_key: bytes
    reference: ContentReference
    entry: Entry
    request: RequestKey | None = None
    request_sha256: bytes = b""


class Store:
    """Documents and their types in the database."""

    def __init__(self, database: Database, sequencer: Sequencer, log: TransparencyLog) -> None:
        self._database = database
        self._sequencer = sequencer
        self._log = log

    # --- Types ---------------------------------------------------------------

    async def find_type(self, name: str) -> DocumentType | None:
        """The type of that name."""
        async with self._database.reading() as connection:
            return (await read_types(connection, [name])).get(name)

    async def list_types(self, after: str, limit: int) -> list[DocumentType]:
        """The types behind that name, by name."""
        statement = (
            select(document_types)
            .where(document_types.c.name > after)
            .order_by(document_types.c.name)
            .limit(limit)
        )
        async with self._database.reading() as connection:
            return [_type_of(row) for row in await connection.execute(statement)]

    async def create_type(self, document_type: DocumentType) -> None:
        """Keeps a new type. Raises AlreadyExists."""

        async def create(connection: AsyncConnection) -> None:
            await connection.execute(insert(document_types).values(**_type_row(document_type)))

        try:
            await self._database.run(create)
        except IntegrityError:
            raise AlreadyExists("there is such a type", "document_type_id") from None

    async def update_type(self, document_type: DocumentType, etag: str) -> None:
        """Keeps the changed type in place of the one with that etag. Raises Aborted."""
        statement = (
            update(document_types)
            .where(document_types.c.name == document_type.name, document_types.c.etag == etag)
            .values(**_type_row(document_type))
        )

        async def change(connection: AsyncConnection) -> int:
            return (await connection.execute(statement)).rowcount

        if await self._database.run(change) == 0:
            raise Aborted("the type was changed meanwhile")

    # --- Registration --------------------------------------------------------

    async def view_registration(
        self,
        *,
        types: Collection[str],
        request_keys: Sequence[RequestKey],
        statement_keys: Collection[bytes],
    ) -> RegistrationView:
        """What is there of these, in one transaction. All request keys are of one method."""
        async with self._database.reading() as connection:
            kept = await read_requests(connection, request_keys)
            registered = await _read_registered(connection, statement_keys)
            names = {*(each.resource for each in kept.values()), *registered.values()}
            found = await read_documents(connection, names)
            return RegistrationView(
                types=await read_types(connection, types),
                kept=kept,
                registered=registered,
                documents=found,
            )

    async def insert_documents(self, news: Sequence[NewDocument]) -> list[int | Exception]:
        """Each document's log index, in order, once it is durable; Taken, or another failure, in
        its place where it was not inserted."""
        outcomes = await self._sequencer.submit_many([_submission(new) for new in news])
        return [
            Taken()
            if isinstance(outcome, Conflict)
            else outcome
            if isinstance(outcome, Exception)
            else outcome.indexes[0]
            for outcome in outcomes
        ]

    async def keep_request(self, key: RequestKey, request_sha256: bytes, resource: str) -> None:
        """Keeps what a request_id came to, where it made nothing new. Raises Taken."""
        rows = [request_rows(key, request_sha256, resource)]
        try:
            await self._sequencer.submit([], rows=rows)
        except Conflict:
            raise Taken from None

    # --- Documents -----------------------------------------------------------

    async def find_document(self, name: str) -> Document | None:
        """The document of that name."""
        async with self._database.reading() as connection:
            return (await read_documents(connection, [name])).get(name)

    async def find_content(self, name: str) -> ContentReference | None:
        """Where the document's content is, or None once it is erased."""
        async with self._database.reading() as connection:
            return await content_store.find_reference(connection, name)

    async def list_documents(
        self,
        *,
        subject: str = "",
        issuer: str = "",
        document_type: str = "",
        before: str = "",
        limit: int,
    ) -> list[Document]:
        """Documents of all that is given, newest first, behind the one named."""
        statement = select(documents)
        if subject:
            statement = statement.where(_is_about(subject))
        if issuer:
            statement = statement.where(documents.c.issuer == issuer)
        if document_type:
            statement = statement.where(documents.c.document_type == document_type)
        if before:
            statement = statement.where(documents.c.name < before)
        async with self._database.reading() as connection:
            return await _read(connection, _newest(statement, limit))

    async def find_by_code(self, verification_code: str) -> list[Document]:
        """The document of that code."""
        return await self._find_where(documents.c.verification_code == verification_code, 1)

    async def find_by_content(self, content_sha256: bytes, limit: int) -> list[Document]:
        """The documents with that content, newest first."""
        return await self._find_where(documents.c.content_sha256 == content_sha256, limit)

    async def _find_where(self, condition: Any, limit: int) -> list[Document]:
        async with self._database.reading() as connection:
            return await _read(connection, _newest(select(documents).where(condition), limit))

    async def revoke_document(
        self, name: str, *, time: datetime, reason: str, entry: Entry
    ) -> None:
        """Marks the document as revoked. Raises NothingChanged where it is already, or erased."""

        async def revoke(connection: AsyncConnection, indexes: Sequence[int]) -> None:
            changed = await connection.execute(
                update(documents)
                .where(
                    documents.c.name == name,
                    documents.c.revoke_time.is_(None),
                    documents.c.erase_time.is_(None),
                )
                .values(revoke_time=time, revoke_reason=reason, revoke_index=indexes[0])
            )
            if changed.rowcount == 0:
                raise NothingChanged

        await self._sequencer.submit([encode_entry(entry)], revoke)

    async def erase_document(
        self, name: str, *, time: datetime, citation: str, entry: Entry
    ) -> None:
        """Destroys all that the contract says. Raises NothingChanged where that was done before."""

        async def erase(connection: AsyncConnection, indexes: Sequence[int]) -> None:
            changed = await connection.execute(
                update(documents)
                .where(documents.c.name == name, documents.c.erase_time.is_(None))
                .values(
                    title="",
                    content_sha256=None,
                    content_salt=None,
                    # It is a hash over the content's; without it the statement may come again.
                    statement_key=None,
                    erase_time=time,
                    erase_citation=citation,
                    erase_index=indexes[0],
                )
            )
            if changed.rowcount == 0:
                raise NothingChanged
            await connection.execute(
                update(document_subjects)
                .where(document_subjects.c.document == name)
                .values(salt=None)
            )
            await connection.execute(
                delete(document_signatures).where(document_signatures.c.document == name)
            )
            await content_store.erase_reference(connection, name)
            await connection.execute(
                update(requests).where(requests.c.resource == name).values(request_sha256=None)
            )

        await self._sequencer.submit([encode_entry(entry)], erase)
        if not await self._database.purge_deleted():
            # Somebody reads older pages; the hourly housekeeping will find nobody doing so.
            log.warning("what was erased stays in the write-ahead log for now")

    # --- Receipts ------------------------------------------------------------

    async def receipts(
        self, wanted: Sequence[tuple[int, Sequence[Opening]]]
    ) -> list[receipts_pb2.Receipt]:
        """A receipt for each log index, with these openings, against the latest checkpoint."""
        async with self._database.reading() as connection:
            return await receipts.read_receipts(connection, self._log, wanted)


# --- Reading -----------------------------------------------------------------


async def read_types(
    connection: AsyncConnection, names: Collection[str]
) -> dict[str, DocumentType]:
    """Those of the types that are there, by name."""
    if not names:
        return {}
    statement = select(document_types).where(document_types.c.name.in_(list(names)))
    return {row.name: _type_of(row) for row in await connection.execute(statement)}


async def read_requests(
    connection: AsyncConnection, keys: Sequence[RequestKey]
) -> dict[RequestKey, KeptRequest]:
    """What the request_ids made. All keys are of one method."""
    if not keys:
        return {}
    if connection.dialect.name == "sqlite":
        rows = await connection.execute(
            select(requests).where(
                requests.c.method == keys[0].method,
                # Every scope with every id finds more than was asked for, seldom and harmlessly.
                requests.c.scope.in_({key.scope for key in keys}),
                requests.c.request_id.in_([key.request_id for key in keys]),
            )
        )
    else:
        parameters = {
            "methods": [key.method for key in keys],
            "scopes": [key.scope for key in keys],
            "ids": [key.request_id for key in keys],
        }
        rows = await connection.execute(_KEPT_REQUESTS, parameters)
    return {
        RequestKey(row.method, row.scope, row.request_id): KeptRequest(
            None if row.request_sha256 is None else bytes(row.request_sha256), row.resource
        )
        for row in rows
    }


async def read_documents(
    connection: AsyncConnection, names: Collection[str]
) -> dict[str, Document]:
    """Those of the documents that are there, by name."""
    ordered = list(names)
    found: dict[str, Document] = {}
    for start in range(0, len(ordered), _NAMES_AT_ONCE):
        part = ordered[start : start + _NAMES_AT_ONCE]
        statement = select(documents).where(documents.c.name.in_(part))
        found |= {each.name: each for each in await _read(connection, statement)}
    return found


async def read_in_force(
    connection: AsyncConnection, *, subject: str, document_type: str, now: datetime, limit: int
) -> list[Document]:
    """The subject's documents of the type that are in force, newest first."""
    statement = select(documents).where(
        _is_about(subject),
        documents.c.document_type == document_type,
        documents.c.revoke_time.is_(None),
        documents.c.erase_time.is_(None),
        or_(documents.c.expire_time.is_(None), documents.c.expire_time > now),
    )
    return await _read(connection, _newest(statement, limit))


async def _read_registered(
    connection: AsyncConnection, statement_keys: Collection[bytes]
) -> dict[bytes, str]:
    if not statement_keys:
        return {}
    statement = select(documents.c.statement_key, documents.c.name).where(
        documents.c.statement_key.in_(list(statement_keys))
    )
    return {bytes(row.statement_key): row.name for row in await connection.execute(statement)}


def _is_about(subject: str) -> Any:
    return documents.c.name.in_(
        select(document_subjects.c.document).where(document_subjects.c.subject == subject)
    )


def _newest(statement: Select[Any], limit: int) -> Select[Any]:
    # Names begin with the time they were made at.
    return statement.order_by(documents.c.name.desc()).limit(limit)


async def _read(connection: AsyncConnection, statement: Select[Any]) -> list[Document]:
    return await documents_of(connection, (await connection.execute(statement)).all())


async def documents_of(connection: AsyncConnection, rows: Sequence[Row[Any]]) -> list[Document]:
    """The documents in rows of their table, in order, with what belongs to them."""
    if not rows:
        return []
    names = [row.name for row in rows]
    subjects: dict[str, list[Row[Any]]] = {name: [] for name in names}
    by_subject = document_subjects.c
    for row in await connection.execute(
        select(document_subjects)
        .where(by_subject.document.in_(names))
        .order_by(by_subject.document, by_subject.position)
    ):
        subjects[row.document].append(row)
    signatures: dict[str, list[Signature]] = {name: [] for name in names}
    by_signature = document_signatures.c
    for row in await connection.execute(
        select(document_signatures)
        .where(by_signature.document.in_(names))
        .order_by(by_signature.document, by_signature.position)
    ):
        signatures[row.document].append(
            Signature(bytes(row.certificate), row.algorithm, bytes(row.signature), row.signer)
        )
    return [_document_of(row, subjects[row.name], signatures[row.name]) for row in rows]


def _document_of(
    row: Row[Any], subjects: Sequence[Row[Any]], signatures: Sequence[Signature]
) -> Document:
    return Document(
        name=row.name,
        document_type=row.document_type,
        issuer=row.issuer,
        subjects=tuple(each.subject for each in subjects),
        subject_salts=tuple(bytes(each.salt) for each in subjects if each.salt is not None),
        title=row.title,
        media_type=row.media_type,
        size_bytes=row.size_bytes,
        content_sha256=bytes(row.content_sha256 or b""),
        content_salt=bytes(row.content_salt or b""),
        signatures=tuple(signatures),
        verification_code=row.verification_code,
        log_index=row.log_index,
        create_time=row.create_time,
        expire_time=row.expire_time,
        revoke_time=row.revoke_time,
        revoke_reason=row.revoke_reason,
        revoke_index=row.revoke_index,
        erase_time=row.erase_time,
        erase_citation=row.erase_citation,
        erase_index=row.erase_index,
    )


def _type_of(row: Row[Any]) -> DocumentType:
    return DocumentType(
        name=row.name,
        display_names=dict(row.display_names),
        issuers=tuple(row.issuers),
        legal_bases=tuple(
            LegalBasis(
                organization=basis["organization"],
                purpose=basis["purpose"],
                citation=basis["citation"],
                expire_time=(
                    datetime.fromisoformat(basis["expire_time"]) if basis["expire_time"] else None
                ),
            )
            for basis in row.legal_bases
        ),
        attributes=tuple(
            Attribute(
                pointer=attribute["pointer"],
                kind=AttributeKind(attribute["kind"]),
                is_required=attribute["required"],
                display_names=attribute["display_names"],
            )
            for attribute in row.attributes
        ),
        etag=row.etag,
    )


# --- Rows --------------------------------------------------------------------


def _submission(new: NewDocument) -> Submission:
    document = new.document
    rows = [
        Rows(documents, [_document_row(document, new.statement_key)], "log_index"),
        Rows(document_subjects, _subject_rows(document)),
        Rows(document_signatures, _signature_rows(document)),
        Rows(tables.contents, [content_store.content_row(document.name, new.reference)]),
    ]
    if new.request is not None:
        rows.append(request_rows(new.request, new.request_sha256, document.name))
    return Submission([encode_entry(new.entry)], rows)


def request_rows(key: RequestKey, request_sha256: bytes, resource: str) -> Rows:
    """The row that keeps what a request_id made."""
    return Rows(
        requests,
        [
            {
                "method": key.method,
                "scope": key.scope,
                "request_id": key.request_id,
                "request_sha256": request_sha256,
                "resource": resource,
            }
        ],
    )


def request_is(key: RequestKey) -> Any:
    """The condition that a row of requests is that key's."""
    return and_(
        requests.c.method == key.method,
        requests.c.scope == key.scope,
        requests.c.request_id == key.request_id,
    )


def _type_row(document_type: DocumentType) -> dict[str, Any]:
    return {
        "name": document_type.name,
        "display_names": dict(document_type.display_names),
        "issuers": list(document_type.issuers),
        "legal_bases": [
            {
                "organization": basis.organization,
                "purpose": basis.purpose,
                "citation": basis.citation,
                "expire_time": format_microseconds(basis.expire_time) if basis.expire_time else "",
            }
            for basis in document_type.legal_bases
        ],
        "attributes": [
            {
                "pointer": attribute.pointer,
                "kind": int(attribute.kind),
                "required": attribute.is_required,
                "display_names": dict(attribute.display_names),
            }
            for attribute in document_type.attributes
        ],
        "etag": document_type.etag,
    }


def _document_row(document: Document, statement_key: bytes) -> dict[str, Any]:
    return {
        "name": document.name,
        "document_type": document.document_type,
        "issuer": document.issuer,
        "title": document.title,
        "media_type": document.media_type,
        "size_bytes": document.size_bytes,
        "content_sha256": document.content_sha256,
        "content_salt": document.content_salt,
        "statement_key": statement_key,
        "verification_code": document.verification_code,
        "create_time": document.create_time,
        "expire_time": document.expire_time,
        "revoke_reason": "",
        "erase_citation": "",
        # The first and only entry of its submission.
        "log_index": 0,
    }


def _subject_rows(document: Document) -> list[dict[str, Any]]:
    return [
        {"document": document.name, "position": position, "subject": subject, "salt": salt}
        for position, (subject, salt) in enumerate(
            zip(document.subjects, document.subject_salts, strict=True)
        )
    ]


def _signature_rows(document: Document) -> list[dict[str, Any]]:
    return [
        {
            "document": document.name,
            "position": position,
            "certificate": each.certificate,
            "algorithm": each.algorithm,
            "signature": each.signature,
            "signer": each.signer,
        }
        for position, each in enumerate(document.signatures)
    ]
