"""The running suite as integration tests use it: actors who sign in, documents, consents.

World calls the real suite through its gateway. tests/builders.py makes the people and organizations
that it enrols, and testing/enrolment.py enrols them.
"""

from __future__ import annotations

import itertools
import uuid
from dataclasses import dataclass, field

import httpx
from google.protobuf.message import Message

from cli.commands.certificate import KeyType
from qagazsyz.client import Client
from qagazsyz.common.v1 import signatures_pb2
from qagazsyz.confirmations import HEADER
from qagazsyz.credentials import Credential
from qagazsyz.documents import sign_document
from qagazsyz.identity.v1 import certificates_pb2, certificates_pb2_grpc
from qagazsyz.registry.v1 import (
    consents_pb2,
    consents_pb2_grpc,
    documents_pb2,
    documents_pb2_grpc,
)
from qagazsyz.signing.v1 import keys_pb2, keys_pb2_grpc
from testing.enrolment import Actor, Enrolment, second_operator
from testing.suite_process import RunningSuite
from tests.builders import new_organization, new_person

TIMEOUT_SECONDS = 30.0
_type_numbers = itertools.count(1)


@dataclass(slots=True)
class World:
    """A suite, and the actors that a test has in it; closes every channel that it opened."""

    suite: RunningSuite
    _clients: dict[int, tuple[Actor, Client]] = field(default_factory=dict)
    _operator: Actor | None = None
    _second_operator: Actor | None = None

    @property
    def operator(self) -> Actor:
        """The first operator, enrolled by init."""
        if self._operator is None:
            path = self.suite.data / "credentials" / "operator.pem"
            self._operator = Actor("", Credential.load(path))
        return self._operator

    def client(self, actor: Actor) -> Client:
        """Return the client that is signed in as the actor, the same for the whole test."""
        if id(actor) not in self._clients:
            self._clients[id(actor)] = (actor, actor.client(self.suite.gateway))
        return self._clients[id(actor)][1]

    async def token(self, actor: Actor) -> str:
        """Return the actor's access token."""
        return (await self.client(actor).token()).access_token

    async def headers(self, actor: Actor) -> dict[str, str]:
        """Return the headers of an HTTP request by the actor."""
        return {"authorization": f"Bearer {await self.token(actor)}"}

    async def confirmed(self, actor: Actor, method: str, request: Message) -> dict[str, str]:
        """Return the headers of an HTTP request by the actor that calls "package.Service/Method"
        with this request, and confirms it."""
        source = self.client(actor).source
        assert source is not None
        return await self.headers(actor) | {HEADER: await source.confirm(f"/{method}", request)}

    def http(self) -> httpx.AsyncClient:
        """Open an HTTP client of the gateway, for use in `async with`."""
        return httpx.AsyncClient(base_url=f"http://{self.suite.gateway}", timeout=TIMEOUT_SECONDS)

    async def second_operator(self) -> Actor:
        """The second operator, whom the first one makes, once for each suite."""
        if self._second_operator is None:
            first = self.client(self.operator)
            self._second_operator = await second_operator(first, self.suite.data, new_person())
        return self._second_operator

    def enrolment(self) -> Enrolment:
        async def second() -> Client:
            return self.client(await self.second_operator())

        return Enrolment(self.client(self.operator), second)

    async def organization(self) -> str:
        """Enrol an organization; return its subject's name."""
        return await self.enrolment().organization(new_organization())

    async def citizen(self, key_type: KeyType = KeyType.P256) -> Actor:
        """Enrol a person with a certificate."""
        return await self.enrolment().citizen(new_person(), key_type)

    async def officer(self, organization: str = "", key_type: KeyType = KeyType.P256) -> Actor:
        """Enrol an officer of the organization, or of a new one."""
        of = organization or await self.organization()
        return await self.enrolment().officer(new_person(), of, key_type)

    async def seal(self, officer: Actor) -> tuple[str, bytes]:
        """Make a managed key of the officer's organization, certified as its seal; return its name
        and the certificate."""
        keys = keys_pb2_grpc.KeyServiceStub(self.client(officer).channel)
        algorithm = signatures_pb2.SIGNATURE_ALGORITHM_ECDSA_P256_SHA256
        key = await keys.CreateKey(
            keys_pb2.CreateKeyRequest(
                key=keys_pb2.Key(organization=officer.organization, algorithm=algorithm)
            ),
            timeout=TIMEOUT_SECONDS,
        )
        asked = await keys.CreateCertificateRequest(
            keys_pb2.CreateCertificateRequestRequest(name=key.primary_version),
            timeout=TIMEOUT_SECONDS,
        )
        second = self.client(await self.second_operator())
        authority = certificates_pb2_grpc.CertificateServiceStub(second.channel)
        waiting = await authority.IssueCertificate(
            certificates_pb2.IssueCertificateRequest(
                subject=officer.organization,
                certificate_request=asked.certificate_request,
                usage=certificates_pb2.CERTIFICATE_USAGE_SIGN,
            ),
            timeout=TIMEOUT_SECONDS,
        )
        return key.name, (await self.enrolment().approve(waiting.name)).der

    async def document_type(self, *issuers: str) -> str:
        """Create a document type that these organizations issue; return its name."""
        stub = documents_pb2_grpc.DocumentServiceStub(self.client(self.operator).channel)
        created = await stub.CreateDocumentType(
            documents_pb2.CreateDocumentTypeRequest(
                document_type=documents_pb2.DocumentType(
                    display_names={"en": "A test's own"}, issuers=issuers
                ),
                document_type_id=f"type-{next(_type_numbers)}",
            ),
            timeout=TIMEOUT_SECONDS,
        )
        return created.name

    def documents(self, actor: Actor) -> documents_pb2_grpc.DocumentServiceAsyncStub:
        return documents_pb2_grpc.DocumentServiceStub(self.client(actor).channel)

    def consents(self, actor: Actor) -> consents_pb2_grpc.ConsentServiceAsyncStub:
        return consents_pb2_grpc.ConsentServiceStub(self.client(actor).channel)

    async def register(
        self, officer: Actor, document_type: str, subject: str, content: bytes = b""
    ) -> documents_pb2.Document:
        """Sign and register a document about the subject as the officer."""
        request = registration(officer, document_type, subject, content)
        return await self.documents(officer).RegisterDocument(request, timeout=TIMEOUT_SECONDS)

    async def consent(
        self, citizen: Actor, organization: str, document_type: str, purpose: str
    ) -> consents_pb2.Consent:
        """Grant consent to a look-up as the citizen."""
        consent = consents_pb2.Consent(
            organization=organization, document_type=document_type, purpose=purpose
        )
        return await self.consents(citizen).GrantConsent(
            consents_pb2.GrantConsentRequest(consent=consent), timeout=TIMEOUT_SECONDS
        )

    async def close(self) -> None:
        for _, client in self._clients.values():
            await client.close()


def registration(
    officer: Actor, document_type: str, subject: str, content: bytes = b""
) -> documents_pb2.RegisterDocumentRequest:
    """Sign a document about the subject as the officer; return the request that registers it."""
    document = documents_pb2.Document(
        document_type=document_type,
        subjects=[subject],
        issuer=officer.organization,
        media_type="text/plain",
    )
    return sign_document(
        document, content or uuid.uuid4().bytes, officer.credential, request_id=str(uuid.uuid4())
    )
