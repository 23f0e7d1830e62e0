"""What a citizen and the ministry sign for an address certificate, and the calls that carry it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

from qagazsyz.common.v1 import signatures_pb2
from qagazsyz.registry.v1 import delegated_pb2, documents_pb2
from qagazsyz.request_texts import Evidence, Mandate, RequestStatement
from services.runtime.access import Caller, Role
from tests.unit.registry.ledger import NOW
from tests.unit.registry.world import (
    ALGORITHM,
    CITIZEN,
    CLERK,
    MINISTRY,
    PLATFORM,
    World,
    by,
    registration,
    sign,
)

RESIDENCE = "documentTypes/residence"
OUTPUT = "documentTypes/address-output"
SERVICE = "publicServices/address-certificate"
REQUEST = "serviceRequests/one"

requests_service = Caller(
    subject="services/requests", organization="", roles=frozenset({int(Role.ROLE_SERVICE)})
)

EVIDENCE = Evidence(
    document_type=RESIDENCE, purpose="address-certificate", attributes=("/city", "/rooms")
)
MANDATE = Mandate(
    platform=PLATFORM,
    public_service=SERVICE,
    service_version=3,
    provider=MINISTRY,
    time=NOW - timedelta(days=1),
    evidence=(EVIDENCE,),
    required=(True,),
    output=OUTPUT,
    time_limit_days=0,
    key="keys/seal",
    output_template='{"city":"{evidence/0/city}","name":"{applicant/family_name}",'
    '"request":"{request}","date":"{date}","rooms":"{evidence/0/rooms}"}',
)
STATEMENT = RequestStatement(
    platform=PLATFORM,
    request=REQUEST,
    public_service=SERVICE,
    service_version=3,
    provider=MINISTRY,
    applicant=CITIZEN,
    at_office=False,
    form_sha256=bytes(32),
    evidence=(EVIDENCE,),
    expire_time=NOW + timedelta(days=7),
    nonce=bytes(16),
)


def signed(text: bytes, signer: str) -> signatures_pb2.SignedText:
    """A text with a signature that the fake verifier takes for the signer's."""
    made = sign(text, signer)
    return signatures_pb2.SignedText(
        text=text, certificate=made.certificate, algorithm=ALGORITHM, signature=made.signature
    )


def delegation(
    mandate: Mandate = MANDATE,
    statement: RequestStatement = STATEMENT,
    *,
    approver: str = CLERK,
    applicant: str = CITIZEN,
) -> signatures_pb2.Delegation:
    """What both sides signed."""
    return signatures_pb2.Delegation(
        mandate=signed(mandate.encode(), approver), statement=signed(statement.encode(), applicant)
    )


def statement(**changes: Any) -> RequestStatement:
    return replace(STATEMENT, **changes)


def mandate(**changes: Any) -> Mandate:
    return replace(MANDATE, **changes)


async def prepare(world: World) -> documents_pb2.Document:
    """Make the types of evidence and output, and register where the citizen lives."""
    attributes = [
        documents_pb2.Attribute(
            pointer="/city", kind=documents_pb2.ATTRIBUTE_KIND_TEXT, required=True
        ),
        documents_pb2.Attribute(pointer="/rooms", kind=documents_pb2.ATTRIBUTE_KIND_NUMBER),
    ]
    await world.create_type("residence", issuers=[MINISTRY], attributes=attributes)
    await world.create_type(
        "address-output",
        issuers=[MINISTRY],
        attributes=attributes[:1],
        display_names={"kk": "Мекенжай анықтамасы", "en": "Address certificate"},
    )
    return await register_residence(world, "Almaty")


async def register_residence(world: World, city: str) -> documents_pb2.Document:
    content = json.dumps({"city": city, "rooms": 2}).encode()
    return await world.documents.RegisterDocument(
        registration(document_type=RESIDENCE, media_type="application/json", content=content),
        by(Caller(subject=CLERK, organization=MINISTRY, roles=frozenset({int(Role.ROLE_OFFICER)}))),
    )


async def look_up(
    world: World, signed_texts: signatures_pb2.Delegation | None = None, evidence: int = 0
) -> delegated_pb2.LookUpForRequestResponse:
    """Look evidence up as the service requests."""
    request = delegated_pb2.LookUpForRequestRequest(
        delegation=signed_texts or delegation(), evidence=evidence
    )
    return await world.registry.delegated.LookUpForRequest(request, by(requests_service))


async def issue(
    world: World,
    signed_texts: signatures_pb2.Delegation | None = None,
    *,
    certificate: bytes = b"certificate of " + MINISTRY.encode(),
    language: str = "",
) -> documents_pb2.Document:
    """Issue the output as the service requests."""
    request = delegated_pb2.RegisterForRequestRequest(
        delegation=signed_texts or delegation(), certificate=certificate, language=language
    )
    return await world.registry.delegated.RegisterForRequest(request, by(requests_service))


async def append(
    world: World,
    state: str,
    number: int,
    signed_texts: signatures_pb2.Delegation | None = None,
    **changes: Any,
) -> delegated_pb2.RequestEvent:
    """Append a change of the request as the service requests."""
    members: dict[str, Any] = {
        "request": REQUEST,
        "public_service": SERVICE,
        "applicant": CITIZEN,
        "number": number,
        "change": json.dumps({"state": state}, separators=(",", ":")).encode(),
        "delegation": signed_texts,
    }
    request = delegated_pb2.AppendRequestEventRequest(**members | changes)
    return await world.registry.delegated.AppendRequestEvent(request, by(requests_service))


async def end_mandates(world: World, caller: Caller, **changes: Any) -> Any:
    request = delegated_pb2.EndMandatesRequest(**{"public_service": SERVICE} | changes)
    return await world.registry.mandates.EndMandates(request, by(caller))
