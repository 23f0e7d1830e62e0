"""On behalf, by the running suite: real signatures, a real seal, a caller who is believed nothing.

The caller plays the service `requests`, with a token as identity would give it.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest

from qagazsyz.common.v1 import access_pb2, signatures_pb2
from qagazsyz.documents import sign_document
from qagazsyz.receipts import verify_receipt
from qagazsyz.registry.v1 import (
    consent_requests_pb2,
    consent_requests_pb2_grpc,
    consents_pb2,
    delegated_pb2,
    delegated_pb2_grpc,
    documents_pb2,
    documents_pb2_grpc,
)
from qagazsyz.request_texts import Evidence, Mandate, RequestStatement
from qagazsyz.signing.v1 import keys_pb2, keys_pb2_grpc
from services.identity.tokens.access_tokens import sign_token
from services.identity.tokens.keys import TOKEN_KEYS_FOLDER, TokenKeys
from services.identity.tokens.rules import Grant
from services.runtime.access import INTERNAL_AUDIENCE
from services.runtime.clients import open_channel
from testing.enrolment import Actor
from tests.builders import new_person
from tests.integration.world import TIMEOUT_SECONDS, World

PLATFORM = "qagazsyz.example"
DENIED = grpc.StatusCode.PERMISSION_DENIED
ECDSA = signatures_pb2.SIGNATURE_ALGORITHM_ECDSA_P256_SHA256


def address_of(world: World, part: str) -> str:
    """Where a service listens, as `up` told it."""
    variables = Path(f"/proc/{world.suite.children()[part]}/environ").read_bytes()
    (address,) = re.findall(rb"(?:^|\0)QAGAZSYZ_LISTEN=([^\0]*)", variables)
    return bytes(address).decode()


def service_token(world: World, service: str) -> tuple[tuple[str, str], ...]:
    """The metadata of a call by a service."""
    now = datetime.now(UTC)
    grant = Grant(
        f"services/{service}", "", (access_pb2.ROLE_SERVICE,), "00" * 32, INTERNAL_AUDIENCE
    )
    key = TokenKeys(world.suite.data / "identity" / TOKEN_KEYS_FOLDER).signing(now)
    token = sign_token(grant, key=key, token_id=str(uuid.uuid4()), now=now)
    return (("authorization", f"Bearer {token}"),)


def signed(text: bytes, actor: Actor) -> signatures_pb2.SignedText:
    algorithm, signature = actor.credential.sign(text)
    return signatures_pb2.SignedText(
        text=text,
        certificate=actor.credential.certificate,
        algorithm=algorithm,
        signature=signature,
    )


@dataclass(slots=True)
class Office:
    """A provider with its service, an applicant, and what both signed."""

    world: World
    officer: Actor
    citizen: Actor
    certificate: bytes
    mandate: Mandate
    statement: RequestStatement
    channel: grpc.aio.Channel

    def delegation(self, **changes: Any) -> signatures_pb2.Delegation:
        """What both signed; with changes, another statement, which nobody signed."""
        delegation = signatures_pb2.Delegation(
            mandate=signed(self.mandate.encode(), self.officer),
            statement=signed(self.statement.encode(), self.citizen),
        )
        delegation.statement.text = replace(self.statement, **changes).encode()
        return delegation

    @property
    def stub(self) -> delegated_pb2_grpc.DelegatedServiceAsyncStub:
        return delegated_pb2_grpc.DelegatedServiceStub(self.channel)

    async def look_up(
        self, delegation: signatures_pb2.Delegation
    ) -> delegated_pb2.LookUpForRequestResponse:
        return await self.stub.LookUpForRequest(
            delegated_pb2.LookUpForRequestRequest(delegation=delegation),
            metadata=service_token(self.world, "requests"),
            timeout=TIMEOUT_SECONDS,
        )

    async def issue(self, delegation: signatures_pb2.Delegation) -> documents_pb2.Document:
        return await self.stub.RegisterForRequest(
            delegated_pb2.RegisterForRequestRequest(
                delegation=delegation, certificate=self.certificate, language="en"
            ),
            metadata=service_token(self.world, "requests"),
            timeout=TIMEOUT_SECONDS,
        )

    async def refused(self, delegation: signatures_pb2.Delegation) -> None:
        """Fails the test unless nothing is done with this delegation."""
        for act in (self.look_up, self.issue):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await act(delegation)
            assert caught.value.code() is DENIED


async def structured_type(world: World, issuer: str) -> str:
    """Create a document type with a city."""
    stub = documents_pb2_grpc.DocumentServiceStub(world.client(world.operator).channel)
    created = await stub.CreateDocumentType(
        documents_pb2.CreateDocumentTypeRequest(
            document_type=documents_pb2.DocumentType(
                display_names={"en": "Where somebody lives"},
                issuers=[issuer],
                attributes=[
                    documents_pb2.Attribute(
                        pointer="/city", kind=documents_pb2.ATTRIBUTE_KIND_TEXT, required=True
                    )
                ],
            ),
            document_type_id=f"residence-{uuid.uuid4().hex[:12]}",
        ),
        timeout=TIMEOUT_SECONDS,
    )
    return created.name


@pytest.fixture
async def office(world: World) -> AsyncIterator[Office]:
    officer, citizen = await world.officer(), await world.citizen()
    provider = officer.organization
    residence, output = (
        await structured_type(world, provider),
        await structured_type(world, provider),
    )
    key, certificate = await world.seal(officer)
    document = documents_pb2.Document(
        document_type=residence,
        subjects=[citizen.subject],
        issuer=provider,
        media_type="application/json",
    )
    await world.documents(officer).RegisterDocument(
        sign_document(document, b'{"city":"Almaty"}', officer.credential), timeout=TIMEOUT_SECONDS
    )
    now = datetime.now(UTC)
    evidence = (
        Evidence(document_type=residence, purpose="address-certificate", attributes=("/city",)),
    )
    common: dict[str, Any] = {
        "platform": PLATFORM,
        "public_service": "publicServices/address-certificate",
        "service_version": 1,
        "provider": provider,
        "evidence": evidence,
    }
    async with open_channel(address_of(world, "registry")) as channel:
        yield Office(
            world,
            officer,
            citizen,
            certificate,
            Mandate(
                **common,
                time=now,
                required=(True,),
                output=output,
                time_limit_days=0,
                key=key,
                output_template='{"city":"{evidence/0/city}","request":"{request}"}',
            ),
            RequestStatement(
                **common,
                request=f"serviceRequests/{uuid.uuid4()}",
                applicant=citizen.subject,
                at_office=False,
                form_sha256=bytes(32),
                expire_time=(now + timedelta(days=1)).replace(microsecond=0),
                nonce=uuid.uuid4().bytes,
            ),
            channel,
        )


async def test_a_person_gets_what_they_and_the_provider_signed_for_and_nobody_more(
    world: World, office: Office
) -> None:
    await office.refused(office.delegation(applicant=(await world.citizen()).subject))
    await office.refused(office.delegation(nonce=bytes(16)))
    found = await office.look_up(office.delegation())
    assert [each.text for each in found.values] == ["Almaty"]
    document = await office.issue(office.delegation())
    assert [each.signer for each in document.signatures] == [office.officer.organization]
    content = await world.documents(office.citizen).DownloadDocument(
        documents_pb2.DownloadDocumentRequest(name=document.name), timeout=TIMEOUT_SECONDS
    )
    assert json.loads(content.data) == {"city": "Almaty", "request": office.statement.request}
    accesses = await world.consents(office.citizen).ListAccesses(
        consents_pb2.ListAccessesRequest(), timeout=TIMEOUT_SECONDS
    )
    (access,) = accesses.accesses
    assert (access.organization, access.basis) == (
        office.officer.organization,
        office.statement.request,
    )
    async with world.http() as web:
        log_key = (await web.get("/log/key")).text.strip()
    assert verify_receipt(access.receipt, log_key).entry["basis"] == "request"
    # An officer ends the mandate, and with it everything.
    async with world.http() as web:
        ended = await web.post(
            "/v1/mandates:end",
            json={"publicService": office.mandate.public_service},
            headers=await world.headers(office.officer),
        )
    assert ended.status_code == 200, ended.text
    await office.refused(office.delegation())


async def test_nobody_but_the_registry_has_signing_seal(world: World, office: Office) -> None:
    request = keys_pb2.SignStatementRequest(statement=b"{}", delegation=office.delegation())
    async with open_channel(address_of(world, "signing")) as channel:
        stub = keys_pb2_grpc.KeyServiceStub(channel)
        for service, code in (
            ("requests", DENIED),
            ("identity", DENIED),
            # Who may call it has nothing sealed that is no document's statement.
            ("registry", grpc.StatusCode.INVALID_ARGUMENT),
        ):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await stub.SignStatement(
                    request, metadata=service_token(world, service), timeout=TIMEOUT_SECONDS
                )
            assert caught.value.code() is code, service


async def test_an_organization_asks_by_iin_and_the_person_signs_what_they_read(
    world: World, office: Office
) -> None:
    person = new_person()
    citizen = await world.enrolment().citizen(person)
    bank = await world.officer()
    asking = consent_requests_pb2_grpc.ConsentRequestServiceStub(world.client(bank).channel)
    asked = await asking.CreateConsentRequest(
        consent_requests_pb2.CreateConsentRequestRequest(
            consent_request=consent_requests_pb2.ConsentRequest(
                document_type=office.mandate.output,
                purpose="mortgage-application",
                purpose_text="Ипотека бойынша өтінім",
            ),
            iin=person.iin,
        ),
        timeout=TIMEOUT_SECONDS,
    )
    assert not asked.subject
    answering = consent_requests_pb2_grpc.ConsentRequestServiceStub(world.client(citizen).channel)
    listed = await answering.ListConsentRequests(
        consent_requests_pb2.ListConsentRequestsRequest(), timeout=TIMEOUT_SECONDS
    )
    (read,) = listed.consent_requests
    assert (read.name, read.organization) == (asked.name, bank.organization)
    given = await answering.SignConsentRequest(
        consent_requests_pb2.SignConsentRequestRequest(
            name=read.name, statement=signed(read.statement.encode(), citizen)
        ),
        timeout=TIMEOUT_SECONDS,
    )
    consents = await world.consents(citizen).ListConsents(
        consents_pb2.ListConsentsRequest(), timeout=TIMEOUT_SECONDS
    )
    assert [each.name for each in consents.consents] == [given.consent]
