"""A registry as its callers meet it: a ministry, two banks, officers and citizens.

Signing and identity are fakes; everything else is the service itself. Tests of the log, the
contents and the audit need no callers and use the smaller ledger.py.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, cast

import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from google.rpc import error_details_pb2, status_pb2

from qagazsyz.common.v1 import signatures_pb2
from qagazsyz.receipts import VerifiedReceipt, verify_receipt
from qagazsyz.registry.v1 import consents_pb2, documents_pb2, receipts_pb2
from services.registry.consent_servicer import ConsentServicer
from services.registry.delegation.interface import PersonNames, Seal
from services.registry.delegation.verification import SignedDelegation
from services.registry.document_servicer import DocumentServicer
from services.registry.documents.interface import (
    Officer,
    SignedStatement,
    SubjectKind,
    VerificationResult,
    VerificationStatus,
)
from services.registry.documents.store import find_type
from services.registry.main import Registry, build
from services.registry.model.log_entries import NEWEST_VERSION
from services.registry.model.statements import StatementVersion, encode_statement
from services.runtime.access import Caller, Role
from services.runtime.errors import PermissionDenied, Unavailable
from services.runtime.server import Call
from services.runtime.storage.database import Database
from services.runtime.storage.object_store import ObjectStore, open_object_store
from services.signing.keys.delegation import check_order, check_signers, parse_order
from tests.calls import FakeCall
from tests.clock import Clock
from tests.unit.registry.ledger import CONTENT_KEY, NOW, create_tables, log_key

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

PLATFORM = "qagazsyz.example"
CITIZEN_IIN = "900101300015"

ADDRESS = "documentTypes/address-certificate"
MARRIAGE = "documentTypes/marriage-certificate"

PURPOSE = "mortgage-application"
LAW = "Law of 24 November 2015 No. 418-V, article 40"

ERASURE_LAW = "Law of 21 May 2013 No. 94-V, article 18"

ALGORITHM = signatures_pb2.SIGNATURE_ALGORITHM_ECDSA_P256_SHA256


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
second_operator = replace(operator, subject="subjects/second-operator", certificate="ab" * 32)


def by(caller: Caller | None) -> Call:
    """A call by that caller; None without a token."""
    return cast("Call", FakeCall(caller))


@dataclass(slots=True)
class FakeDirectory:
    """Who exists and who is an officer; counts how often it was asked."""

    subjects: dict[str, SubjectKind] = field(default_factory=dict)
    officers: set[Officer] = field(default_factory=set)
    former_officers: set[Officer] = field(default_factory=set)
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

    async def find_organizations(
        self, people: Collection[str], during: Call | None
    ) -> Mapping[str, frozenset[str]]:
        if self.is_down:
            raise Unavailable("identity cannot be reached")
        return {
            person: frozenset(
                each.organization
                for each in self.officers | self.former_officers
                if each.person == person
            )
            for person in people
        }


@dataclass(slots=True)
class FakeOperators:
    """Whether there ever was a second operator, and who may approve what who asked for."""

    is_second_known: bool = False
    dependent: set[tuple[str, str]] = field(default_factory=set)
    certificates: list[str] = field(default_factory=list)

    async def second_existed(self, during: Call | None) -> bool:
        return self.is_second_known

    async def may_approve(
        self, proposer: str, approver: str, certificate: str, during: Call | None
    ) -> bool:
        self.certificates.append(certificate)
        return (proposer, approver) not in self.dependent


def sign(
    statement_bytes: bytes, signer: str, version: StatementVersion = StatementVersion.WITH_ISSUER
) -> documents_pb2.DocumentSignature:
    """A signature that the fake verifier takes for the signer's."""
    certificate = b"certificate of " + signer.encode()
    signature = hashlib.sha256(certificate + statement_bytes).digest()
    return documents_pb2.DocumentSignature(
        certificate=certificate,
        algorithm=ALGORITHM,
        signature=signature,
        statement_version=version.value,
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
class FakePeople:
    """Knows the names of all people in the directory, and one IIN."""

    directory: FakeDirectory

    async def find_names(self, subject: str, during: Call | None) -> PersonNames | None:
        kinds = await self.directory.find_subjects([subject], during)
        return PersonNames("Serik", "Aigerim", "") if subject in kinds else None

    async def find_by_iin(self, iin: str, during: Call | None) -> str:
        return CITIZEN if iin == CITIZEN_IIN else ""


@dataclass(slots=True)
class FakeSealer:
    """Seals as the ministry's seal what signing's own rules let it seal."""

    verifier: FakeVerifier
    directory: FakeDirectory
    clock: Clock

    async def seal(self, statement: bytes, signed: SignedDelegation, during: Call | None) -> Seal:
        order = parse_order(statement, signed.mandate.statement, signed.statement.statement)
        check_order(order, platform=PLATFORM, now=self.clock())
        approver, applicant = await self.verifier.verify([signed.mandate, signed.statement], during)
        provider = order.mandate.provider
        officers = await self.directory.find_officers(
            {Officer(provider, each.signer) for each in (approver, applicant)}, during
        )
        check_signers(order, approver.signer, applicant.signer, {each.person for each in officers})
        made = sign(statement, provider)
        return Seal(made.signature, made.algorithm)


@dataclass(slots=True)
class World:
    """A registry's process and its surroundings; each method is one call, by its usual caller."""

    registry: Registry
    database: Database
    objects: ObjectStore
    clock: Clock
    directory: FakeDirectory
    verifier: FakeVerifier
    operators: FakeOperators

    @property
    def documents(self) -> DocumentServicer:
        return self.registry.documents

    @property
    def consents(self) -> ConsentServicer:
        return self.registry.consents

    # --- Documents -----------------------------------------------------------

    async def register(self, **changes: Any) -> documents_pb2.Document:
        """Register a document as the ministry's clerk."""
        return await self.documents.RegisterDocument(registration(**changes), by(ministry_officer))

    async def register_batch(
        self, *requests: documents_pb2.RegisterDocumentRequest
    ) -> list[documents_pb2.RegisterDocumentResult]:
        """Register documents as the ministry's clerk; return the results."""
        request = documents_pb2.BatchRegisterDocumentsRequest(requests=requests)
        response = await self.documents.BatchRegisterDocuments(request, by(ministry_officer))
        return list(response.results)

    async def get(self, name: str, caller: Caller, access: str = "") -> documents_pb2.Document:
        request = documents_pb2.GetDocumentRequest(name=name, access=access)
        return await self.documents.GetDocument(request, by(caller))

    async def receipt(self, name: str, caller: Caller, access: str = "") -> receipts_pb2.Receipt:
        request = documents_pb2.GetReceiptRequest(document=name, access=access)
        return await self.documents.GetReceipt(request, by(caller))

    async def download(self, name: str, caller: Caller, access: str = "") -> bytes:
        request = documents_pb2.DownloadDocumentRequest(name=name, access=access)
        return bytes((await self.documents.DownloadDocument(request, by(caller))).data)

    async def list_documents(self, caller: Caller, **filters: Any) -> list[str]:
        """The names of the documents that the caller lists."""
        request = documents_pb2.ListDocumentsRequest(**filters)
        response = await self.documents.ListDocuments(request, by(caller))
        return [document.name for document in response.documents]

    async def check(self, **by_what: Any) -> list[documents_pb2.DocumentCheck]:
        """Check a document without a token, by its code or its content's hash."""
        request = documents_pb2.CheckDocumentRequest(**by_what)
        return list((await self.documents.CheckDocument(request, by(None))).checks)

    async def revoke(
        self, name: str, caller: Caller | None = None, reason: str = "mistaken"
    ) -> documents_pb2.Document:
        """Revoke a document, as the ministry's clerk if not said otherwise."""
        request = documents_pb2.RevokeDocumentRequest(name=name, reason=reason)
        return await self.documents.RevokeDocument(request, by(caller or ministry_officer))

    async def erase(self, name: str) -> documents_pb2.Document:
        """Erase a document as the operator."""
        request = documents_pb2.EraseDocumentRequest(name=name, citation=ERASURE_LAW)
        return await self.documents.EraseDocument(request, by(operator))

    # --- Types ---------------------------------------------------------------

    async def create_type(self, id_: str, **members: Any) -> documents_pb2.DocumentType:
        """Create a document type as the operator."""
        request = documents_pb2.CreateDocumentTypeRequest(
            document_type=documents_pb2.DocumentType(**members), document_type_id=id_
        )
        return await self.documents.CreateDocumentType(request, by(operator))

    async def update_type(
        self, name: str, *paths: str, **members: Any
    ) -> documents_pb2.DocumentType:
        """Change a document type as the operator; without paths, in the members that are set."""
        request = documents_pb2.UpdateDocumentTypeRequest(
            document_type=documents_pb2.DocumentType(name=name, **members),
            update_mask=FieldMask(paths=paths),
        )
        return await self.documents.UpdateDocumentType(request, by(operator))

    async def approve_bases(
        self, document_type: documents_pb2.DocumentType, caller: Caller | None = None
    ) -> documents_pb2.DocumentType:
        """Approve a type's legal bases as the caller read it, as the second operator."""
        request = documents_pb2.ApproveLegalBasesRequest(
            name=document_type.name, etag=document_type.etag
        )
        return await self.documents.ApproveLegalBases(request, by(caller or second_operator))

    async def get_type(self, name: str) -> documents_pb2.DocumentType:
        request = documents_pb2.GetDocumentTypeRequest(name=name)
        return await self.documents.GetDocumentType(request, by(None))

    # --- Consents and look-ups -----------------------------------------------

    async def grant(self, **changes: Any) -> consents_pb2.Consent:
        """Grant the first bank a consent as the citizen."""
        request = consents_pb2.GrantConsentRequest(consent=consent_message(**changes))
        return await self.consents.GrantConsent(request, by(citizen))

    async def withdraw(self, name: str, caller: Caller | None = None) -> consents_pb2.Consent:
        """Withdraw a consent, as the citizen if not said otherwise."""
        request = consents_pb2.WithdrawConsentRequest(name=name)
        return await self.consents.WithdrawConsent(request, by(caller or citizen))

    async def get_consent(self, name: str, caller: Caller) -> consents_pb2.Consent:
        request = consents_pb2.GetConsentRequest(name=name)
        return await self.consents.GetConsent(request, by(caller))

    async def list_consents(self, caller: Caller, subject: str = "") -> list[str]:
        """The names of the consents that the caller lists."""
        request = consents_pb2.ListConsentsRequest(subject=subject)
        response = await self.consents.ListConsents(request, by(caller))
        return [consent.name for consent in response.consents]

    async def look_up(
        self, caller: Caller | None = None, **changes: Any
    ) -> documents_pb2.LookUpDocumentsResponse:
        """Look up the citizen's address certificates, as the first bank's teller."""
        request = look_up_request(**changes)
        return await self.documents.LookUpDocuments(request, by(caller or bank_officer))

    async def look_up_refused(self, caller: Caller | None = None, **changes: Any) -> str:
        """The message of a look-up's refusal. Fails the test if it is granted."""
        with pytest.raises(PermissionDenied) as refusal:
            await self.look_up(caller, **changes)
        return refusal.value.message

    async def accesses(
        self, caller: Caller | None = None, subject: str = ""
    ) -> list[consents_pb2.Access]:
        """The access records that the caller lists, the citizen if not said otherwise."""
        request = consents_pb2.ListAccessesRequest(subject=subject)
        return list((await self.consents.ListAccesses(request, by(caller or citizen))).accesses)

    async def identity_events(
        self, caller: Caller | None = None, **asked: Any
    ) -> consents_pb2.ListIdentityEventsResponse:
        """A page of identity's events that the caller lists, the citizen if not said otherwise."""
        request = consents_pb2.ListIdentityEventsRequest(**asked)
        return await self.consents.ListIdentityEvents(request, by(caller or citizen))


def verified(receipt: receipts_pb2.Receipt, content: bytes | None = None) -> VerifiedReceipt:
    """What a receipt proves. Fails the test unless it verifies."""
    return verify_receipt(receipt, log_key().verifier, content)


def field_of(status: status_pb2.Status) -> str:
    """The field that an item's error names."""
    for detail in status.details:
        bad = error_details_pb2.BadRequest()
        if detail.Unpack(bad):
            return str(bad.field_violations[0].field)
    return ""


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
    issuer: str = MINISTRY,
    version: StatementVersion = StatementVersion.WITH_ISSUER,
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
        version=version,
        issuer=issuer,
        content_sha256=hashlib.sha256(content).digest(),
        document_type=document_type,
        media_type=media_type,
        subjects=subjects,
        expire_time=expire_time,
    )
    return documents_pb2.RegisterDocumentRequest(
        document=document,
        content=content,
        signatures=[sign(signed, signer, version) for signer in signers],
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
async def opened_world(
    url: str, folder: Path, *, entry_version: int = NEWEST_VERSION
) -> AsyncIterator[World]:
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
    verifier, clock, operators = FakeVerifier(), Clock(NOW), FakeOperators()
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
            entry_version=entry_version,
            operators=operators,
            people=FakePeople(directory),
            sealer=FakeSealer(verifier, directory, clock),
            platform=PLATFORM,
            clock=clock,
        )
        await registry.version_1_end.start()
        await registry.sequencer.start()
        try:
            world = World(registry, database, objects, clock, directory, verifier, operators)
            for name in (ADDRESS, MARRIAGE):
                async with database.reading() as connection:
                    if await find_type(connection, name) is not None:
                        continue  # Another replica made it.
                await world.create_type(name.removeprefix("documentTypes/"), issuers=[MINISTRY])
            yield world
        finally:
            await registry.sequencer.close()
    finally:
        await database.close()
