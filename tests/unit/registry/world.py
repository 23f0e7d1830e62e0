"""A registry with fakes for its neighbours: a ministry, two banks, officers and citizens."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

from qagazsyz.common.v1 import signatures_pb2
from qagazsyz.registry.v1 import consents_pb2, documents_pb2
from services.registry.documents.interface import (
    Officer,
    SignedStatement,
    SubjectKind,
    VerificationResult,
    VerificationStatus,
)
from services.registry.documents.store import find_type
from services.registry.main import Registry, build
from services.registry.model.statements import encode_statement
from services.runtime.access import Caller, Role
from services.runtime.errors import Unavailable
from services.runtime.server import Call
from services.runtime.storage.database import Database
from services.runtime.storage.object_store import ObjectStore, open_object_store
from tests.unit.registry.ledger import CONTENT_KEY, create_tables, log_key

MINISTRY = "subjects/ministry"
FIRST_BANK = "subjects/first-bank"
SECOND_BANK = "subjects/second-bank"
CITIZEN = "subjects/aigerim"
SPOUSE = "subjects/daniyar"
STRANGER = "subjects/stranger"
CLERK = "subjects/clerk"
TELLER = "subjects/teller"
RIVAL = "subjects/rival"
AUDITOR = "subjects/auditor"
OPERATOR = "subjects/operator"

ADDRESS = "documentTypes/address-certificate"
MARRIAGE = "documentTypes/marriage-certificate"

PURPOSE = "mortgage-application"
LAW = "Law of 24 November 2015 No. 418-V, article 40"

ALGORITHM = signatures_pb2.SIGNATURE_ALGORITHM_ECDSA_P256_SHA256
NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def _caller(subject: str, organization: str, *roles: int) -> Caller:
    return Caller(subject=subject, organization=organization, roles=frozenset(roles))


ministry_officer = _caller(CLERK, MINISTRY, Role.ROLE_OFFICER)
bank_officer = _caller(TELLER, FIRST_BANK, Role.ROLE_OFFICER)
other_bank_officer = _caller(RIVAL, SECOND_BANK, Role.ROLE_OFFICER)
citizen = _caller(CITIZEN, "", Role.ROLE_CITIZEN)
spouse = _caller(SPOUSE, "", Role.ROLE_CITIZEN)
stranger = _caller(STRANGER, "", Role.ROLE_CITIZEN)
auditor = _caller(AUDITOR, "", Role.ROLE_CITIZEN, Role.ROLE_AUDITOR)
operator = _caller(OPERATOR, "", Role.ROLE_CITIZEN, Role.ROLE_OPERATOR)


class FakeCall:
    """A call as servicers see it, by the caller it says."""

    def __init__(self, caller: Caller | None) -> None:
        self._caller = caller
        self.headers: dict[str, str] = {}

    @property
    def caller(self) -> Caller:
        assert self._caller is not None
        return self._caller

    def time_remaining(self) -> float | None:
        return None

    def set_header(self, name: str, value: str) -> None:
        self.headers[name] = value


def by(caller: Caller | None) -> Call:
    return cast("Call", FakeCall(caller))


@dataclass(slots=True)
class Clock:
    """A clock that stands until it is moved."""

    now: datetime = NOW

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **by: float) -> None:
        self.now += timedelta(**by)


@dataclass(slots=True)
class FakeDirectory:
    """Who exists and who is an officer; counts how often it was asked."""

    subjects: dict[str, SubjectKind] = field(default_factory=dict)
    officers: set[Officer] = field(default_factory=set)
    is_down: bool = False
    subject_questions: list[set[str]] = field(default_factory=list)

    async def find_subjects(
        self, names: Collection[str], during: Call | None
    ) -> Mapping[str, SubjectKind]:
        if self.is_down:
            raise Unavailable("identity cannot be reached")
        self.subject_questions.append(set(names))
        return {name: self.subjects[name] for name in names if name in self.subjects}

    async def find_officers(
        self, people: Collection[Officer], during: Call | None
    ) -> frozenset[Officer]:
        if self.is_down:
            raise Unavailable("identity cannot be reached")
        return frozenset(each for each in people if each in self.officers)


def sign(statement_bytes: bytes, signer: str) -> documents_pb2.DocumentSignature:
    """A signature that the fake verifier takes for the signer's."""
    certificate = b"certificate of " + signer.encode()
    signature = hashlib.sha256(certificate + statement_bytes).digest()
    return documents_pb2.DocumentSignature(
        certificate=certificate, algorithm=ALGORITHM, signature=signature
    )


@dataclass(slots=True)
class FakeVerifier:
    """Accepts what sign() made; keeps the batches it was asked about."""

    is_down: bool = False
    doubts: set[str] = field(default_factory=set)
    untrusted: set[str] = field(default_factory=set)
    batches: list[int] = field(default_factory=list)

    async def verify(
        self, items: Sequence[SignedStatement], during: Call | None
    ) -> list[VerificationResult]:
        if self.is_down:
            raise Unavailable("signing cannot be reached")
        self.batches.append(len(items))
        return [self._judge(item) for item in items]

    def _judge(self, item: SignedStatement) -> VerificationResult:
        signer = item.certificate.decode().removeprefix("certificate of ")
        if hashlib.sha256(item.certificate + item.statement).digest() != item.signature:
            return VerificationResult(VerificationStatus.FAILED, reason="invalid signature")
        if signer in self.untrusted:
            return VerificationResult(
                VerificationStatus.FAILED, reason="the certificate is revoked"
            )
        if signer in self.doubts:
            return VerificationResult(VerificationStatus.INDETERMINATE)
        return VerificationResult(VerificationStatus.PASSED, signer=signer)


@dataclass(slots=True)
class World:
    """A registry's process and everything around it."""

    registry: Registry
    database: Database
    objects: ObjectStore
    clock: Clock
    directory: FakeDirectory
    verifier: FakeVerifier

    @property
    def documents(self) -> Any:
        return self.registry.documents

    @property
    def consents(self) -> Any:
        return self.registry.consents

    async def register(self, **changes: Any) -> documents_pb2.Document:
        """A document registered by the ministry's clerk."""
        document = await self.documents.RegisterDocument(
            registration(**changes), by(ministry_officer)
        )
        assert isinstance(document, documents_pb2.Document)
        return document

    async def grant(self, **changes: Any) -> consents_pb2.Consent:
        """The citizen's consent for the first bank."""
        consent = await self.consents.GrantConsent(
            consents_pb2.GrantConsentRequest(consent=consent_message(**changes)), by(citizen)
        )
        assert isinstance(consent, consents_pb2.Consent)
        return consent

    async def look_up(
        self, caller: Caller = bank_officer, **changes: Any
    ) -> documents_pb2.LookUpDocumentsResponse:
        """A look-up of the citizen's address certificates by the first bank's teller."""
        response = await self.documents.LookUpDocuments(look_up_request(**changes), by(caller))
        assert isinstance(response, documents_pb2.LookUpDocumentsResponse)
        return response

    async def accesses(
        self, caller: Caller = citizen, subject: str = ""
    ) -> list[consents_pb2.Access]:
        response = await self.consents.ListAccesses(
            consents_pb2.ListAccessesRequest(subject=subject), by(caller)
        )
        return list(response.accesses)


_numbers = itertools.count()


def registration(
    *,
    content: bytes | None = None,
    document_type: str = ADDRESS,
    subjects: Sequence[str] = (CITIZEN,),
    title: str = "Мекенжай анықтамасы",
    media_type: str = "application/pdf",
    expire_time: datetime | None = None,
    signers: Sequence[str] = (CLERK,),
    request_id: str = "",
) -> documents_pb2.RegisterDocumentRequest:
    """A request that would be accepted, of a content like no other."""
    if content is None:
        content = b"content %d" % next(_numbers)
    document = documents_pb2.Document(
        document_type=document_type, subjects=subjects, title=title, media_type=media_type
    )
    if expire_time is not None:
        document.expire_time.FromDatetime(expire_time)
    signed = encode_statement(
        content_sha256=hashlib.sha256(content).digest(),
        document_type=document_type,
        media_type=media_type,
        subjects=subjects,
        expire_time=expire_time,
    )
    return documents_pb2.RegisterDocumentRequest(
        document=document,
        content=content,
        signatures=[sign(signed, signer) for signer in signers],
        request_id=request_id,
    )


def consent_message(
    *,
    organization: str = FIRST_BANK,
    document_type: str = ADDRESS,
    purpose: str = PURPOSE,
    expire_time: datetime | None = None,
) -> consents_pb2.Consent:
    consent = consents_pb2.Consent(
        organization=organization,
        document_type=document_type,
        purpose=purpose,
        purpose_text="Ипотека үшін",
    )
    if expire_time is not None:
        consent.expire_time.FromDatetime(expire_time)
    return consent


def look_up_request(
    *,
    subject: str = CITIZEN,
    document_type: str = ADDRESS,
    purpose: str = PURPOSE,
    reason: str = "Өтінім № 7",
    request_id: str = "",
) -> documents_pb2.LookUpDocumentsRequest:
    return documents_pb2.LookUpDocumentsRequest(
        subject=subject,
        document_type=document_type,
        purpose=purpose,
        reason=reason,
        request_id=request_id,
    )


@asynccontextmanager
async def opened_world(url: str, folder: Path) -> AsyncIterator[World]:
    """A registry that knows two document types; another one on the same database is its replica."""
    database = Database(url)
    directory = FakeDirectory(
        subjects={
            **dict.fromkeys((MINISTRY, FIRST_BANK, SECOND_BANK), SubjectKind.ORGANIZATION),
            **dict.fromkeys(
                (CITIZEN, SPOUSE, STRANGER, CLERK, TELLER, RIVAL, AUDITOR, OPERATOR),
                SubjectKind.PERSON,
            ),
        },
        officers={
            Officer(MINISTRY, CLERK),
            Officer(FIRST_BANK, TELLER),
            Officer(SECOND_BANK, RIVAL),
        },
    )
    verifier, clock = FakeVerifier(), Clock()
    try:
        await create_tables(database)
        objects = open_object_store(str(folder / "contents"))
        registry = build(
            database=database,
            objects=objects,
            log_key=log_key(),
            content_key=CONTENT_KEY,
            verifier=verifier,
            directory=directory,
            clock=clock,
        )
        await registry.sequencer.start()
        try:
            world = World(registry, database, objects, clock, directory, verifier)
            for name in (ADDRESS, MARRIAGE):
                async with database.reading() as connection:
                    if await find_type(connection, name) is not None:
                        continue  # Another replica made it.
                await world.documents.CreateDocumentType(
                    documents_pb2.CreateDocumentTypeRequest(
                        document_type=documents_pb2.DocumentType(issuers=[MINISTRY]),
                        document_type_id=name.removeprefix("documentTypes/"),
                    ),
                    by(operator),
                )
            yield world
        finally:
            await registry.sequencer.close()
    finally:
        await database.close()
