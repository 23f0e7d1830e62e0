"""The documents' SQL: types, documents, and the requests that registered them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Select, delete, insert, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from qagazsyz.canonical_texts import format_microseconds
from services.registry import tables
from services.registry.contents import store as content_store
from services.registry.contents.store import ContentReference
from services.registry.log.store import Rows
from services.registry.model.attributes import Attribute, AttributeKind
from services.registry.model.document_types import (
    DocumentType,
    LegalBasis,
    PendingLegalBases,
    TypeChange,
)
from services.registry.model.documents import Document, Signature
from services.registry.model.statements import StatementVersion
from services.registry.tables import (
    document_signatures,
    document_subjects,
    document_types,
    documents,
    statement_versions,
    type_changes,
)
from services.runtime.errors import AlreadyExists
from services.runtime.storage.kept_requests import KeptRequest, KeptRequests, RequestKey

# Names in one statement: within both databases' limits on parameters.
_CHUNK = 5_000

# The requests of all methods of the registry, by the name of the resource that each made.
kept_requests: KeptRequests[str] = KeptRequests(tables.requests, "resource")


@dataclass(frozen=True, slots=True)
class RegistrationView:
    """The types, requests and documents of a batch that exist already, at one moment."""

    types: Mapping[str, DocumentType]
    kept: Mapping[RequestKey, KeptRequest[str]]
    # Names of documents, by statement key.
    registered: Mapping[bytes, str]
    # The documents that kept and registered name.
    documents: Mapping[str, Document]


@dataclass(frozen=True, slots=True)
class NewDocument:
    """A document with everything that is stored with it."""

    document: Document
    statement_key: bytes
    reference: ContentReference
    request: RequestKey | None = None
    request_sha256: bytes = b""


# --- Types -------------------------------------------------------------------


async def find_type(connection: AsyncConnection, name: str) -> DocumentType | None:
    """Return the type of that name, or None."""
    return (await find_types(connection, [name])).get(name)


async def find_types(
    connection: AsyncConnection, names: Collection[str]
) -> dict[str, DocumentType]:
    """Return those of the types that exist, by name."""
    if not names:
        return {}
    statement = select(document_types).where(document_types.c.name.in_(list(names)))
    return {row.name: _type_of(row) for row in await connection.execute(statement)}


async def list_types(connection: AsyncConnection, after: str, limit: int) -> list[DocumentType]:
    """Return the types whose names sort after that one, by name."""
    statement = (
        select(document_types)
        .where(document_types.c.name > after)
        .order_by(document_types.c.name)
        .limit(limit)
    )
    return [_type_of(row) for row in await connection.execute(statement)]


async def insert_type(connection: AsyncConnection, document_type: DocumentType) -> None:
    """Store a new type. Raises AlreadyExists."""
    try:
        await connection.execute(insert(document_types).values(**_type_row(document_type)))
    except IntegrityError:
        raise AlreadyExists("there is such a type", "document_type_id") from None


async def update_type(connection: AsyncConnection, document_type: DocumentType, etag: str) -> bool:
    """Store a changed type; return whether the stored one had that etag, and was replaced."""
    changed = await connection.execute(
        update(document_types)
        .where(document_types.c.name == document_type.name, document_types.c.etag == etag)
        .values(**_type_row(document_type))
    )
    return changed.rowcount == 1


def type_change_row(change: TypeChange) -> Rows:
    """Return the row of a type's change. Its entry is the first of its submission."""
    row = {
        "document_type": change.document_type,
        "time": change.time,
        "type_sha256": change.type_sha256,
        "issuers": list(change.issuers),
        "legal_bases": [dict(basis) for basis in change.legal_bases],
        "log_index": 0,
    }
    return Rows(type_changes, [row], "log_index")


async def list_type_changes(
    connection: AsyncConnection, *, after: int, limit: int
) -> list[TypeChange]:
    """Return the changes of all types that are logged behind an index, in the log's order."""
    statement = (
        select(type_changes)
        .where(type_changes.c.log_index > after)
        .order_by(type_changes.c.log_index)
        .limit(limit)
    )
    return [
        TypeChange(
            document_type=row.document_type,
            time=row.time,
            type_sha256=bytes(row.type_sha256),
            issuers=row.issuers,
            legal_bases=row.legal_bases,
            log_index=row.log_index,
        )
        for row in await connection.execute(statement)
    ]


# --- Registration ------------------------------------------------------------


async def keep_first_start(connection: AsyncConnection, now: datetime) -> datetime:
    """Return when the registry first started with statements of version 2; store it if it is now.

    Raises AlreadyExists if another replica stored its own at the same time.
    """
    version = StatementVersion.WITH_ISSUER.value
    first = select(statement_versions.c.first_start_time).where(
        statement_versions.c.version == version
    )
    found: datetime | None = (await connection.execute(first)).scalar_one_or_none()
    if found is None:
        try:
            await connection.execute(
                insert(statement_versions).values(version=version, first_start_time=now)
            )
        except IntegrityError:
            raise AlreadyExists("another replica started at the same time", "") from None
    return found or now


async def read_registration_view(
    connection: AsyncConnection,
    *,
    types: Collection[str],
    requests: Collection[RequestKey],
    statement_keys: Collection[bytes],
) -> RegistrationView:
    """Return what exists of these types, requests and statements."""
    kept = await kept_requests.find_many(connection, requests)
    registered = await _find_registered(connection, statement_keys)
    names = {*(each.result for each in kept.values()), *registered.values()}
    return RegistrationView(
        types=await find_types(connection, types),
        kept=kept,
        registered=registered,
        documents=await find_documents(connection, names),
    )


def new_document_rows(new: NewDocument) -> list[Rows]:
    """Return the rows of a new document. Its entry is the first of its submission."""
    document = new.document
    rows = [
        Rows(documents, [_document_row(document, new.statement_key)], "log_index"),
        Rows(document_subjects, _subject_rows(document)),
        Rows(document_signatures, _signature_rows(document)),
        Rows(tables.contents, [content_store.content_row(document.name, new.reference)]),
    ]
    if new.request is not None:
        rows.append(request_row(new.request, new.request_sha256, document.name))
    return rows


async def keep_request(
    connection: AsyncConnection, key: RequestKey | None, request_sha256: bytes, resource: str
) -> None:
    """Keep a request, and the resource that it made or changed; nothing without a key."""
    if key is not None:
        row = kept_requests.row(key, request_sha256, resource)
        await connection.execute(insert(tables.requests).values(**row))


def request_row(key: RequestKey, request_sha256: bytes, resource: str) -> Rows:
    """Return the row that keeps a request, and the resource that it made."""
    return Rows(tables.requests, [kept_requests.row(key, request_sha256, resource)])


async def _find_registered(
    connection: AsyncConnection, statement_keys: Collection[bytes]
) -> dict[bytes, str]:
    if not statement_keys:
        return {}
    statement = select(documents.c.statement_key, documents.c.name).where(
        documents.c.statement_key.in_(list(statement_keys))
    )
    return {bytes(row.statement_key): row.name for row in await connection.execute(statement)}


# --- Documents ---------------------------------------------------------------


async def find_document(connection: AsyncConnection, name: str) -> Document | None:
    """Return the document of that name, or None."""
    return (await find_documents(connection, [name])).get(name)


async def find_documents(
    connection: AsyncConnection, names: Collection[str]
) -> dict[str, Document]:
    """Return those of the documents that exist, by name."""
    ordered = list(names)
    found: dict[str, Document] = {}
    for start in range(0, len(ordered), _CHUNK):
        chunk = ordered[start : start + _CHUNK]
        statement = select(documents).where(documents.c.name.in_(chunk))
        found |= {each.name: each for each in await _read(connection, statement)}
    return found


async def list_documents(
    connection: AsyncConnection,
    *,
    subject: str = "",
    issuer: str = "",
    document_type: str = "",
    before: str = "",
    limit: int,
) -> list[Document]:
    """Return the documents that match every filter given, newest first, after the one named."""
    statement = select(documents)
    if subject:
        statement = statement.where(_is_about(subject))
    if issuer:
        statement = statement.where(documents.c.issuer == issuer)
    if document_type:
        statement = statement.where(documents.c.document_type == document_type)
    if before:
        statement = statement.where(documents.c.name < before)
    return await _read(connection, _newest(statement, limit))


async def find_in_force(
    connection: AsyncConnection, *, subject: str, document_type: str, now: datetime, limit: int
) -> list[Document]:
    """Return the subject's documents of the type that are in force, newest first."""
    statement = select(documents).where(
        _is_about(subject),
        documents.c.document_type == document_type,
        documents.c.revoke_time.is_(None),
        documents.c.erase_time.is_(None),
        or_(documents.c.expire_time.is_(None), documents.c.expire_time > now),
    )
    return await _read(connection, _newest(statement, limit))


async def find_by_code(connection: AsyncConnection, verification_code: str) -> list[Document]:
    """Return the document with that code, if there is one."""
    condition = documents.c.verification_code == verification_code
    return await _read(connection, select(documents).where(condition))


async def find_by_content(
    connection: AsyncConnection, content_sha256: bytes, limit: int
) -> list[Document]:
    """Return the documents with that content, newest first."""
    condition = documents.c.content_sha256 == content_sha256
    return await _read(connection, _newest(select(documents).where(condition), limit))


async def find_erased(connection: AsyncConnection, names: Collection[str]) -> set[str]:
    """Return those of the documents that were erased."""
    statement = select(documents.c.name).where(
        documents.c.name.in_(names), documents.c.erase_time.is_not(None)
    )
    return set((await connection.execute(statement)).scalars())


async def find_documents_of(
    connection: AsyncConnection, subject: str, names: Collection[str]
) -> frozenset[str]:
    """Return those of the documents that the subject is one of the subjects of."""
    if not names:
        return frozenset()
    statement = select(document_subjects.c.document).where(
        document_subjects.c.subject == subject, document_subjects.c.document.in_(names)
    )
    return frozenset((await connection.execute(statement)).scalars())


async def revoke_document(
    connection: AsyncConnection, name: str, *, time: datetime, reason: str, log_index: int
) -> bool:
    """Mark the document as revoked; return False if it was revoked or erased before."""
    changed = await connection.execute(
        update(documents)
        .where(
            documents.c.name == name,
            documents.c.revoke_time.is_(None),
            documents.c.erase_time.is_(None),
        )
        .values(revoke_time=time, revoke_reason=reason, revoke_index=log_index)
    )
    return changed.rowcount == 1


async def erase_document(
    connection: AsyncConnection, name: str, *, time: datetime, citation: str, log_index: int
) -> bool:
    """Destroy everything that EraseDocument's contract lists; return False if that was done before.

    The requests' fingerprints and the statement's key go too: they are hashes over the content's.
    """
    changed = await connection.execute(
        update(documents)
        .where(documents.c.name == name, documents.c.erase_time.is_(None))
        .values(
            title="",
            content_sha256=None,
            content_salt=None,
            # Without it the same statement may be registered anew.
            statement_key=None,
            erase_time=time,
            erase_citation=citation,
            erase_index=log_index,
        )
    )
    if changed.rowcount == 0:
        return False
    await connection.execute(
        update(document_subjects).where(document_subjects.c.document == name).values(salt=None)
    )
    await connection.execute(
        delete(document_signatures).where(document_signatures.c.document == name)
    )
    await content_store.erase_reference(connection, name)
    await kept_requests.destroy_fingerprints(connection, name)
    return True


# --- From rows ---------------------------------------------------------------


def _is_about(subject: str) -> Any:
    return documents.c.name.in_(
        select(document_subjects.c.document).where(document_subjects.c.subject == subject)
    )


def _newest(statement: Select[Any], limit: int) -> Select[Any]:
    # Names begin with their creation time.
    return statement.order_by(documents.c.name.desc()).limit(limit)


async def _read(connection: AsyncConnection, statement: Select[Any]) -> list[Document]:
    return await documents_of(connection, (await connection.execute(statement)).all())


async def documents_of(connection: AsyncConnection, rows: Sequence[Row[Any]]) -> list[Document]:
    """Return the documents in rows of their table, in order, with their subjects and signatures."""
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
            Signature(
                bytes(row.certificate),
                row.algorithm,
                bytes(row.signature),
                row.signer,
                StatementVersion(row.statement_version),
            )
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
        legal_bases=_bases_of(row.legal_bases),
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
        pending=_pending_of(row.pending_legal_bases),
    )


def _pending_of(stored: dict[str, Any] | None) -> PendingLegalBases | None:
    if stored is None:
        return None
    return PendingLegalBases(
        legal_bases=_bases_of(stored["legal_bases"]),
        proposer=stored["proposer"],
        create_time=datetime.fromisoformat(stored["create_time"]),
    )


def _bases_of(stored: list[dict[str, str]]) -> tuple[LegalBasis, ...]:
    return tuple(
        LegalBasis(
            organization=basis["organization"],
            purpose=basis["purpose"],
            citation=basis["citation"],
            expire_time=(
                datetime.fromisoformat(basis["expire_time"]) if basis["expire_time"] else None
            ),
        )
        for basis in stored
    )


# --- To rows -----------------------------------------------------------------


def _type_row(document_type: DocumentType) -> dict[str, Any]:
    return {
        "name": document_type.name,
        "display_names": dict(document_type.display_names),
        "issuers": list(document_type.issuers),
        "legal_bases": _stored_bases(document_type.legal_bases),
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
        "pending_legal_bases": _stored_pending(document_type.pending),
    }


def _stored_pending(pending: PendingLegalBases | None) -> dict[str, Any] | None:
    if pending is None:
        return None
    return {
        "legal_bases": _stored_bases(pending.legal_bases),
        "proposer": pending.proposer,
        "create_time": format_microseconds(pending.create_time),
    }


def _stored_bases(legal_bases: Sequence[LegalBasis]) -> list[dict[str, str]]:
    return [
        {
            "organization": basis.organization,
            "purpose": basis.purpose,
            "citation": basis.citation,
            "expire_time": format_microseconds(basis.expire_time) if basis.expire_time else "",
        }
        for basis in legal_bases
    ]


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
            "statement_version": each.statement_version.value,
        }
        for position, each in enumerate(document.signatures)
    ]
