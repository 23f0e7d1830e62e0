"""The steps of the demo, each of which checks its results exactly."""

from __future__ import annotations

import asyncio
import hashlib
import json
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import grpc
from google.protobuf import json_format

from cli.commands.certificate import KeyType
from demo import sample_documents
from demo.mixed_batch import make_mixed_batch
from qagazsyz.client import Client
from qagazsyz.common.v1 import certificates_pb2 as common_certificates_pb2
from qagazsyz.common.v1 import signatures_pb2
from qagazsyz.credentials import Credential
from qagazsyz.documents import STATEMENT_VERSION, sign_document, statement
from qagazsyz.identity.v1 import certificates_pb2, certificates_pb2_grpc
from qagazsyz.phone import PhoneCredential
from qagazsyz.registry.v1 import (
    consents_pb2,
    consents_pb2_grpc,
    documents_pb2,
    documents_pb2_grpc,
    receipts_pb2,
)
from qagazsyz.signing.v1 import keys_pb2, keys_pb2_grpc, verification_pb2, verification_pb2_grpc
from testing.enrolment import TIMEOUT_SECONDS, Actor, Enrolment, second_operator
from testing.people import FIRST_BANK, MINISTRY, SECOND_BANK, Person, people
from testing.suite_process import RunningSuite

T = TypeVar("T")

CITIZENS = 40
DOCUMENTS = 500
# Documents in one call, which waits for the disk once.
BATCH = 50
SIGNATURES = 10_000
ADDRESS_TYPE = "documentTypes/address-certificate"
INCOME_TYPE = "documentTypes/income-statement"
PURPOSE = "mortgage-application"
# CertificateCheck.fresh_until: after this, signatures by a revoked certificate are refused.
REVOCATION_BOUND_SECONDS = 5.0
REVOCATION_POLL_SECONDS = 0.1


class Mismatch(Exception):
    """A step has another result than expected."""


def must(expected: T, found: T, what: str) -> None:
    """Raise Mismatch unless the two are equal."""
    if expected != found:
        raise Mismatch(f"{what}: expected {expected!r}, found {found!r}")


@dataclass(frozen=True, slots=True)
class Done:
    """A step that was done, as a row of the closing table."""

    title: str
    what: str
    seconds: float
    trace_id: str


@dataclass(slots=True)
class Demo:
    """The steps, and what they pass on to each other."""

    suite: RunningSuite
    folder: Path
    advance: Callable[[int, int], None]
    trace_id: str = ""
    per_second: float = 0.0
    # The operators and the organizations' officers, by what they are called here.
    actors: dict[str, Actor] = field(default_factory=dict)
    # The officers, then the citizens.
    people: list[Person] = field(default_factory=list)
    citizens: list[Actor] = field(default_factory=list)
    _clients: list[Client] = field(default_factory=list)
    _documents: list[documents_pb2.Document] = field(default_factory=list)
    _contents: dict[str, bytes] = field(default_factory=dict)
    _seal_version: str = ""
    _seal: bytes = b""

    def steps(self) -> list[tuple[str, Callable[[], Awaitable[str]]]]:
        """Return the steps in order: a title, and a method that returns what was done."""
        return [
            ("People and certificates", self.enrol),
            ("Document types", self.create_types),
            ("Registration in batches", self.register),
            ("Batch verification", self.verify),
            ("Consent and look-up", self.look_up),
            ("Second bank", self.refuse_second_bank),
            ("Who has looked", self.list_accesses),
            ("Receipt, offline", self.check_receipt),
            ("Revocation", self.revoke),
        ]

    async def run(self, title: str, step: Callable[[], Awaitable[str]]) -> Done:
        """Run one step under a trace of its own."""
        self.trace_id = uuid.uuid4().hex
        began = time.monotonic()
        what = await step()
        return Done(title, what, time.monotonic() - began, self.trace_id)

    async def close(self) -> None:
        for client in self._clients:
            await client.close()

    def _trace_headers(self) -> Mapping[str, str]:
        # The demo's own span is not recorded: it is the parent that all of a step's calls share.
        return {"traceparent": f"00-{self.trace_id}-{self.trace_id[:16]}-01"}

    def client(self, actor: Actor) -> Client:
        """Open a client that signs in as an actor; close() closes it."""
        return self.open(actor.credential, actor.organization)

    def open(
        self, credential: Credential | PhoneCredential | None, organization: str = ""
    ) -> Client:
        """Open a client with any credential, or none; close() closes it."""
        client = Client(
            self.suite.gateway,
            credential,
            organization=organization,
            trace_headers=self._trace_headers,
        )
        self._clients.append(client)
        return client

    # Enrolment

    async def enrol(self) -> str:
        """Enrol a second operator, a ministry, two banks, an officer of each, and citizens, with
        certificates."""
        operator = Actor("", Credential.load(self.suite.data / "credentials" / "operator.pem"))
        self.actors["operator"] = operator
        client = self.client(operator)
        enrolment = Enrolment(client)
        *self.people, colleague = islice(people(), CITIZENS + 4)
        second = await second_operator(client, self.suite.data, colleague)
        self.actors["second operator"] = second
        officers = {"ministry": MINISTRY, "first bank": FIRST_BANK, "second bank": SECOND_BANK}
        total = len(officers) + CITIZENS
        for number, (name, organization) in enumerate(officers.items()):
            subject = await enrolment.organization(organization)
            self.actors[name] = await enrolment.officer(self.people[number], subject)
            self.advance(number + 1, total)
        kinds = (KeyType.P256, KeyType.P256, KeyType.ED25519, KeyType.P384)
        for number in range(CITIZENS):
            person = self.people[number + 3]
            self.citizens.append(await enrolment.citizen(person, kinds[number % len(kinds)]))
            self.advance(len(officers) + number + 1, total)
        for name, actor in self.actors.items():
            token = await self.client(actor).token()
            must(actor.organization, token.organization, f"the organization of the {name}'s token")
        await self._make_seal()
        return f"3 organizations, {total + 1} people, {total + 2} certificates, 5 sign-ins"

    async def _make_seal(self) -> None:
        """Create a managed key for the ministry, ask for a certificate over it as the ministry's
        officer, and approve it as an operator."""
        ministry = self.actors["ministry"]
        officer = self.client(ministry)
        keys = keys_pb2_grpc.KeyServiceStub(officer.channel)
        key = await keys.CreateKey(
            keys_pb2.CreateKeyRequest(
                key=keys_pb2.Key(
                    organization=ministry.organization,
                    algorithm=signatures_pb2.SIGNATURE_ALGORITHM_ECDSA_P256_SHA256,
                ),
                request_id=str(uuid.uuid4()),
            ),
            timeout=TIMEOUT_SECONDS,
        )
        self._seal_version = key.primary_version
        asked = await keys.CreateCertificateRequest(
            keys_pb2.CreateCertificateRequestRequest(name=key.primary_version),
            timeout=TIMEOUT_SECONDS,
        )
        waiting = await certificates_pb2_grpc.CertificateServiceStub(
            officer.channel
        ).IssueCertificate(
            certificates_pb2.IssueCertificateRequest(
                subject=ministry.organization,
                certificate_request=asked.certificate_request,
                usage=certificates_pb2.CERTIFICATE_USAGE_SIGN,
                request_id=str(uuid.uuid4()),
            ),
            timeout=TIMEOUT_SECONDS,
        )
        must(certificates_pb2.CERTIFICATE_STATE_PENDING, waiting.state, "the seal's state")
        issued = await Enrolment(self.client(self.actors["second operator"])).approve(waiting.name)
        self._seal = issued.der

    async def create_types(self) -> str:
        """Create two types of documents that the ministry issues."""
        documents = documents_pb2_grpc.DocumentServiceStub(
            self.client(self.actors["operator"]).channel
        )
        for name, titles in (
            (ADDRESS_TYPE, {"kk": "Мекенжай анықтамасы", "ru": "Адресная справка"}),
            (INCOME_TYPE, {"kk": "Табыс туралы анықтама", "ru": "Справка о доходах"}),
        ):
            created = await documents.CreateDocumentType(
                documents_pb2.CreateDocumentTypeRequest(
                    document_type=documents_pb2.DocumentType(
                        display_names=titles, issuers=[self.actors["ministry"].organization]
                    ),
                    document_type_id=name.removeprefix("documentTypes/"),
                ),
                timeout=TIMEOUT_SECONDS,
            )
            must(name, created.name, "the type's name")
        return "an address certificate and an income statement"

    # Documents

    async def register(self) -> str:
        """Register documents of both types in batches, half signed by the officer, half sealed."""
        ministry = self.actors["ministry"]
        client = self.client(ministry)
        documents = documents_pb2_grpc.DocumentServiceStub(client.channel)
        font = sample_documents.write_font(self.folder)
        for start in range(0, DOCUMENTS, BATCH):
            drafts = await asyncio.to_thread(self._drafts, start, start + BATCH, font)
            requests = [
                sign_document(draft, content, ministry.credential, request_id=str(uuid.uuid4()))
                for draft, content in drafts[::2]
            ]
            requests += await self._sealed(client, drafts[1::2])
            answer = await documents.BatchRegisterDocuments(
                documents_pb2.BatchRegisterDocumentsRequest(requests=requests),
                timeout=TIMEOUT_SECONDS,
            )
            must(len(requests), len(answer.results), "results of a batch")
            for request, result in zip(requests, answer.results, strict=True):
                if result.WhichOneof("result") != "document":
                    raise Mismatch(f"a document was refused: {result.error.message}")
                registered = result.document
                digest = hashlib.sha256(request.content).digest()
                must(digest, registered.content_sha256, "the content's hash")
                self._documents.append(registered)
                self._contents[registered.name] = request.content
            self.advance(start + BATCH, DOCUMENTS)
        must(DOCUMENTS, len({document.name for document in self._documents}), "documents")
        places = {document.log_index for document in self._documents}
        must(DOCUMENTS, len(places), "places in the log")
        return f"{DOCUMENTS} documents in {DOCUMENTS // BATCH} batches, PDF and XML"

    def _drafts(
        self, start: int, stop: int, font: Path
    ) -> list[tuple[documents_pb2.Document, bytes]]:
        today = datetime.now(UTC).date()
        drafts = []
        for number in range(start, stop):
            # Two of each type in turn, so that both kinds of signer sign both.
            is_address = number % 4 < 2
            citizen = number // 4 % CITIZENS
            person = self.people[citizen + 3]
            draft = documents_pb2.Document(
                document_type=ADDRESS_TYPE if is_address else INCOME_TYPE,
                subjects=[self.citizens[citizen].subject],
                issuer=self.actors["ministry"].organization,
                title="Мекенжай анықтамасы" if is_address else "Справка о доходах",
                media_type=sample_documents.PDF if is_address else sample_documents.XML,
            )
            draft.expire_time.FromDatetime(datetime(today.year + 1, today.month, 1, tzinfo=UTC))
            content = self._content(person, today, number, font if is_address else None)
            drafts.append((draft, content))
        return drafts

    @staticmethod
    def _content(person: Person, today: date, number: int, font: Path | None) -> bytes:
        if font is not None:
            return sample_documents.address_certificate(person, MINISTRY, today, number, font)
        return sample_documents.income_statement(person, MINISTRY, today, number)

    async def _sealed(
        self, client: Client, drafts: list[tuple[documents_pb2.Document, bytes]]
    ) -> list[documents_pb2.RegisterDocumentRequest]:
        keys = keys_pb2_grpc.KeyServiceStub(client.channel)
        statements = [statement(draft, content) for draft, content in drafts]
        signed = await keys.BatchSign(
            keys_pb2.BatchSignRequest(
                key=self._seal_version.partition("/versions/")[0],
                items=[keys_pb2.SignItem(message=message) for message in statements],
            ),
            timeout=TIMEOUT_SECONDS,
        )
        must(self._seal_version, signed.key_version, "the version that sealed")
        return [
            documents_pb2.RegisterDocumentRequest(
                document=draft,
                content=content,
                signatures=[
                    documents_pb2.DocumentSignature(
                        certificate=self._seal,
                        algorithm=signatures_pb2.SIGNATURE_ALGORITHM_ECDSA_P256_SHA256,
                        signature=result.signature,
                        statement_version=STATEMENT_VERSION,
                    )
                ],
                request_id=str(uuid.uuid4()),
            )
            for (draft, content), result in zip(drafts, signed.results, strict=True)
        ]

    # Signatures

    async def verify(self) -> str:
        """Verify ten thousand signatures in one call, which must find exactly the spoiled ones."""
        certified = [citizen.credential for citizen in self.citizens[::4]]
        batch = await asyncio.to_thread(make_mixed_batch, certified, SIGNATURES)
        stub = verification_pb2_grpc.VerificationServiceStub(
            self.client(self.actors["first bank"]).channel
        )
        began = time.monotonic()
        answer = await stub.BatchVerify(batch.request, timeout=TIMEOUT_SECONDS)
        self.per_second = SIGNATURES / (time.monotonic() - began)
        must(list(batch.expected), list(answer.verdicts), "the verdicts")
        must(SIGNATURES - len(batch.spoiled), answer.valid_count, "the number of valid ones")
        self.advance(1, 1)
        return f"{SIGNATURES:,} signatures, exactly the {len(batch.spoiled)} spoiled ones found"

    # Look-up

    async def look_up(self) -> str:
        """Grant consent as a citizen; find, download and verify their certificate as a bank."""
        citizen = self.citizens[0]
        bank = self.client(self.actors["first bank"])
        await consents_pb2_grpc.ConsentServiceStub(self.client(citizen).channel).GrantConsent(
            consents_pb2.GrantConsentRequest(
                consent=consents_pb2.Consent(
                    organization=self.actors["first bank"].organization,
                    document_type=ADDRESS_TYPE,
                    purpose=PURPOSE,
                    purpose_text="Ипотекалық несие беру туралы шешім үшін",
                ),
                request_id=str(uuid.uuid4()),
            ),
            timeout=TIMEOUT_SECONDS,
        )
        documents = documents_pb2_grpc.DocumentServiceStub(bank.channel)
        found = await documents.LookUpDocuments(self._question(), timeout=TIMEOUT_SECONDS)
        own = [
            document
            for document in self._documents
            if citizen.subject in document.subjects and document.document_type == ADDRESS_TYPE
        ]
        names = {document.name for document in own}
        must(names, {document.name for document in found.documents}, "what the bank finds")
        document = found.documents[0]
        body = await documents.DownloadDocument(
            documents_pb2.DownloadDocumentRequest(name=document.name, access=found.access),
            timeout=TIMEOUT_SECONDS,
        )
        must(self._contents[document.name], body.data, "the downloaded content")
        must(sample_documents.PDF, body.content_type, "its media type")
        await self._must_verify(bank, document, body.data)
        return f"{len(own)} address certificates found, one downloaded, its signature holds"

    async def _must_verify(
        self, bank: Client, document: documents_pb2.Document, content: bytes
    ) -> None:
        signature = document.signatures[0]
        answer = await verification_pb2_grpc.VerificationServiceStub(bank.channel).Verify(
            verification_pb2.VerifyRequest(
                signer=verification_pb2.Signer(certificate=signature.certificate),
                item=verification_pb2.SignedItem(
                    algorithm=signature.algorithm,
                    message=statement(document, content, signature.statement_version),
                    signature=signature.signature,
                ),
            ),
            timeout=TIMEOUT_SECONDS,
        )
        must(signatures_pb2.VERDICT_VALID, answer.verdict, "the verdict on the document")

    def _question(self) -> documents_pb2.LookUpDocumentsRequest:
        return documents_pb2.LookUpDocumentsRequest(
            subject=self.citizens[0].subject,
            document_type=ADDRESS_TYPE,
            purpose=PURPOSE,
            reason="Ипотекаға өтінім",
            request_id=str(uuid.uuid4()),
        )

    async def refuse_second_bank(self) -> str:
        """Ask the same as a bank that has no consent, and be refused."""
        documents = documents_pb2_grpc.DocumentServiceStub(
            self.client(self.actors["second bank"]).channel
        )
        await _must_refuse(documents.LookUpDocuments, self._question(), "a bank without consent")
        get = documents_pb2.GetDocumentRequest(name=self._documents[0].name)
        await _must_refuse(documents.GetDocument, get, "a document without a look-up")
        return "refused: it has no consent"

    async def list_accesses(self) -> str:
        """List the accesses as the citizen: the look-up, the download and the refusal only."""
        citizen = self.citizens[0]
        stub = consents_pb2_grpc.ConsentServiceStub(self.client(citizen).channel)
        answer = await stub.ListAccesses(
            consents_pb2.ListAccessesRequest(subject=citizen.subject), timeout=TIMEOUT_SECONDS
        )
        first, second = (self.actors[n].organization for n in ("first bank", "second bank"))
        expected = [
            (first, consents_pb2.ACCESS_EVENT_DOWNLOADED),
            (first, consents_pb2.ACCESS_EVENT_LOOKED_UP),
            (second, consents_pb2.ACCESS_EVENT_REFUSED),
        ]
        found = sorted((access.organization, access.event) for access in answer.accesses)
        must(sorted((o, int(event)) for o, event in expected), found, "the accesses")
        return "the first bank looked and downloaded, the second was refused"

    # Proofs

    async def check_receipt(self) -> str:
        """Fetch the citizen's receipt, and verify it offline with the tool."""
        client = self.client(self.citizens[0])
        document = next(d for d in self._documents if self.citizens[0].subject in list(d.subjects))
        receipt = await documents_pb2_grpc.DocumentServiceStub(client.channel).GetReceipt(
            documents_pb2.GetReceiptRequest(document=document.name), timeout=TIMEOUT_SECONDS
        )
        key = self.folder / "log.key"
        key.write_bytes(await asyncio.to_thread(_fetch, f"http://{self.suite.gateway}/log/key"))
        content = self.folder / "content.pdf"
        content.write_bytes(self._contents[document.name])
        good, bad = self.folder / "receipt.json", self.folder / "tampered.json"
        good.write_text(json_format.MessageToJson(receipt))
        bad.write_text(json_format.MessageToJson(_tampered(receipt)))
        must(0, await _tool("receipt", "verify", good, "--key", key, "--content", content), "good")
        must(1, await _tool("receipt", "verify", bad, "--key", key), "a tampered receipt")
        content.write_bytes(self._contents[document.name] + b" ")
        must(1, await _tool("receipt", "verify", good, "--key", key, "--content", content), "other")
        return "it holds; a tampered copy and a changed content are refused"

    async def revoke(self) -> str:
        """Revoke a certificate, whose signatures must be refused within the stated bound."""
        holder = self.citizens[1]
        stub = verification_pb2_grpc.VerificationServiceStub(
            self.client(self.actors["first bank"]).channel
        )
        message = "Қол қойылды".encode()
        algorithm, signature = holder.credential.sign(message)
        request = verification_pb2.VerifyRequest(
            signer=verification_pb2.Signer(certificate=holder.credential.certificate),
            item=verification_pb2.SignedItem(
                algorithm=algorithm, message=message, signature=signature
            ),
        )
        before = await stub.Verify(request, timeout=TIMEOUT_SECONDS)
        must(signatures_pb2.VERDICT_VALID, before.verdict, "the verdict before revocation")
        fingerprint = hashlib.sha256(holder.credential.certificate).hexdigest()
        await certificates_pb2_grpc.CertificateServiceStub(
            self.client(holder).channel
        ).RevokeCertificate(
            certificates_pb2.RevokeCertificateRequest(
                name=f"{holder.subject}/certificates/{fingerprint}",
                reason=certificates_pb2.REVOCATION_REASON_KEY_COMPROMISE,
            ),
            timeout=TIMEOUT_SECONDS,
        )
        began = time.monotonic()
        while True:
            asked = time.monotonic() - began
            after = await stub.Verify(request, timeout=TIMEOUT_SECONDS)
            if after.verdict != signatures_pb2.VERDICT_VALID:
                break
            if asked > REVOCATION_BOUND_SECONDS:
                raise Mismatch("a signature by a revoked certificate is still taken")
            await asyncio.sleep(REVOCATION_POLL_SECONDS)
        must(signatures_pb2.VERDICT_UNTRUSTED_SIGNER, after.verdict, "the verdict afterwards")
        must(
            common_certificates_pb2.CERTIFICATE_STATUS_REVOKED,
            after.signer.certificate_status,
            "the certificate's status",
        )
        return f"refused {asked:.1f} s after it was revoked"


async def _must_refuse(method: Callable[..., Any], request: Any, what: str) -> None:
    try:
        await method(request, timeout=TIMEOUT_SECONDS)
    except grpc.aio.AioRpcError as error:
        must(grpc.StatusCode.PERMISSION_DENIED, error.code(), what)
    else:
        raise Mismatch(f"{what} was not refused")


def _tampered(receipt: receipts_pb2.Receipt) -> receipts_pb2.Receipt:
    entry = json.loads(receipt.entry)
    entry["issuer"] = "subjects/00000000-0000-7000-8000-000000000000"
    copy = receipts_pb2.Receipt()
    copy.CopyFrom(receipt)
    copy.entry = json.dumps(entry, separators=(",", ":"), sort_keys=True).encode()
    return copy


def _fetch(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310 - our own
        body: bytes = answer.read()
        return body


async def _tool(*arguments: str | Path) -> int:
    """Run the tool as a user would; return its exit code."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "cli.main",
        *map(str, arguments),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    return await process.wait()
