"""Public services through the real suite: asked for, decided by rule or by an officer, and told to
the transparency log."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass

import grpc
import httpx
import pytest

from qagazsyz.documents import sign_document
from qagazsyz.registry.v1 import delegated_pb2, delegated_pb2_grpc, documents_pb2
from qagazsyz.requests.v1 import public_services_pb2 as services_pb
from qagazsyz.requests.v1 import public_services_pb2_grpc as services_grpc
from qagazsyz.requests.v1 import service_requests_pb2 as pb
from qagazsyz.requests.v1 import service_requests_pb2_grpc as requests_grpc
from testing.enrolment import Actor
from tests.integration.world import TIMEOUT_SECONDS, World

TEMPLATE = json.dumps({"city": "{evidence/0/city}", "name": "{applicant/family_name}"})
CITY = documents_pb2.Attribute(
    pointer="/city", kind=documents_pb2.ATTRIBUTE_KIND_TEXT, required=True
)


@dataclass(slots=True)
class Office:
    """A provider with an officer, the types that it issues, and what people ask it for."""

    world: World
    officer: Actor
    address: str
    certificate: str

    def services(self, actor: Actor) -> services_grpc.PublicServiceServiceAsyncStub:
        return services_grpc.PublicServiceServiceStub(self.world.client(actor).channel)

    def requests(self, actor: Actor) -> requests_grpc.ServiceRequestServiceAsyncStub:
        return requests_grpc.ServiceRequestServiceStub(self.world.client(actor).channel)

    async def offer(self, service_id: str, **fields: object) -> services_pb.PublicService:
        """Create a service as an operator, and approve it as the officer."""
        evidence = services_pb.Evidence(
            document_type=self.address, purpose="address", attributes=["/city"], required=True
        )
        wanted = services_pb.PublicService(
            provider=self.officer.organization,
            output=self.certificate,
            evidence=[evidence],
            **fields,  # type: ignore[arg-type]
        )
        made = await self.services(self.world.operator).CreatePublicService(
            services_pb.CreatePublicServiceRequest(
                public_service=wanted, public_service_id=service_id
            ),
            timeout=TIMEOUT_SECONDS,
        )
        return await self.services(self.officer).ApprovePublicService(
            services_pb.ApprovePublicServiceRequest(
                name=made.name, version=1, signature=signature(self.officer, made.mandate)
            ),
            timeout=TIMEOUT_SECONDS,
        )

    async def draft(self, citizen: Actor, service: str) -> pb.ServiceRequest:
        return await self.requests(citizen).CreateServiceRequest(
            pb.CreateServiceRequestRequest(
                service_request=pb.ServiceRequest(public_service=service)
            ),
            timeout=TIMEOUT_SECONDS,
        )

    async def submit(self, citizen: Actor, draft: pb.ServiceRequest) -> pb.ServiceRequest:
        return await self.requests(citizen).SubmitServiceRequest(
            pb.SubmitServiceRequestRequest(
                name=draft.name, signature=signature(citizen, draft.statement)
            ),
            timeout=TIMEOUT_SECONDS,
        )

    async def register(self, document_type: str, subject: str, content: bytes) -> str:
        """Register a document as the officer; return its name."""
        wanted = documents_pb2.Document(
            document_type=document_type,
            subjects=[subject],
            issuer=self.officer.organization,
            media_type="application/json",
        )
        request = sign_document(wanted, content, self.officer.credential)
        made = await self.world.documents(self.officer).RegisterDocument(
            request, timeout=TIMEOUT_SECONDS
        )
        return made.name


def signature(actor: Actor, text: str) -> services_pb.StatementSignature:
    algorithm, made = actor.credential.sign(text.encode())
    return services_pb.StatementSignature(
        certificate=actor.credential.certificate, algorithm=algorithm, signature=made
    )


async def open_office(world: World, prefix: str) -> Office:
    officer = await world.officer()
    types = []
    for kind in ("address", "certificate"):
        made = await world.documents(world.operator).CreateDocumentType(
            documents_pb2.CreateDocumentTypeRequest(
                document_type=documents_pb2.DocumentType(
                    display_names={"en": kind}, issuers=[officer.organization], attributes=[CITY]
                ),
                document_type_id=f"{prefix}-{kind}",
            ),
            timeout=TIMEOUT_SECONDS,
        )
        types.append(made.name)
    return Office(world, officer, *types)


async def test_a_rule_answers_at_once_with_a_sealed_document_and_the_log_knows(
    world: World,
) -> None:
    office = await open_office(world, "rule")
    key, _ = await world.seal(office.officer)
    service = await office.offer("rule-address", key=key, output_template=TEMPLATE)
    citizen = await world.citizen()
    draft = await office.draft(citizen, service.name)
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await office.submit(citizen, draft)
    assert refusal.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    address = await office.register(office.address, citizen.subject, b'{"city":"Almaty"}')
    # A statement is looked up by once: what it did not find then, another one finds.
    issued = await office.submit(citizen, await office.draft(citizen, service.name))
    assert issued.state == pb.SERVICE_REQUEST_STATE_ISSUED, issued
    assert [each.document for each in issued.evidence] == [address]
    output = await world.documents(citizen).GetDocument(
        documents_pb2.GetDocumentRequest(name=issued.output), timeout=TIMEOUT_SECONDS
    )
    assert (output.document_type, output.issuer) == (
        office.certificate,
        office.officer.organization,
    )
    content = await world.documents(citizen).DownloadDocument(
        documents_pb2.DownloadDocumentRequest(name=issued.output), timeout=TIMEOUT_SECONDS
    )
    assert json.loads(content.data)["city"] == "Almaty"
    assert await logged(office, citizen, issued.name) == 3
    # As the log has it, with the openings, to the applicant.
    events = await delegated_pb2_grpc.MandateServiceStub(
        world.client(citizen).channel
    ).ListRequestEvents(delegated_pb2.ListRequestEventsRequest(), timeout=TIMEOUT_SECONDS)
    changes = [json.loads(each.change) for each in events.events if each.request == issued.name]
    assert [each["action"] for each in changes] == ["issue", "submit", "create"]
    assert changes[0]["ended"]["electronic"] is True


async def logged(office: Office, citizen: Actor, name: str) -> int:
    """Wait until the log holds all of a request's history, and return how long that is."""
    async with asyncio.timeout(60):
        while True:
            found = await office.requests(citizen).GetServiceRequest(
                pb.GetServiceRequestRequest(name=name), timeout=TIMEOUT_SECONDS
            )
            if all(each.log_index >= 0 for each in found.events):
                return len(found.events)
            await asyncio.sleep(0.05)


async def test_an_officer_answers_with_a_document_about_this_person(world: World) -> None:
    office = await open_office(world, "officer")
    service = await office.offer("officer-address", time_limit_days=5)
    citizen, other = await world.citizen(), await world.citizen()
    await office.register(office.address, citizen.subject, b'{"city":"Almaty"}')
    submitted = await office.submit(citizen, await office.draft(citizen, service.name))
    assert submitted.state == pb.SERVICE_REQUEST_STATE_SUBMITTED
    await logged(office, citizen, submitted.name)
    stub = office.requests(office.officer)
    await stub.AcceptServiceRequest(
        pb.AcceptServiceRequestRequest(name=submitted.name, etag=submitted.etag),
        timeout=TIMEOUT_SECONDS,
    )

    async def complete(document: str) -> pb.ServiceRequest:
        return await stub.CompleteServiceRequest(
            pb.CompleteServiceRequestRequest(name=submitted.name, document=document),
            timeout=TIMEOUT_SECONDS,
        )

    about_another = await office.register(office.certificate, other.subject, b'{"city":"Astana"}')
    for wrong in (about_another, submitted.evidence[0].document, "documents/unknown"):
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await complete(wrong)
        assert refusal.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    right = await office.register(office.certificate, citizen.subject, b'{"city":"Almaty"}')
    assert (await complete(right)).state == pb.SERVICE_REQUEST_STATE_ISSUED


async def test_a_suspended_service_gets_nothing_and_statistics_are_open(world: World) -> None:
    office = await open_office(world, "suspended")
    service = await office.offer("suspended-address", time_limit_days=5)
    citizen = await world.citizen()
    await office.register(office.address, citizen.subject, b'{"city":"Almaty"}')
    draft = await office.draft(citizen, service.name)
    suspended = await office.services(office.officer).SuspendPublicService(
        services_pb.SuspendPublicServiceRequest(name=service.name), timeout=TIMEOUT_SECONDS
    )
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await office.submit(citizen, draft)
    assert refusal.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    await office.services(office.officer).ApprovePublicService(
        services_pb.ApprovePublicServiceRequest(
            name=service.name, version=1, signature=signature(office.officer, suspended.mandate)
        ),
        timeout=TIMEOUT_SECONDS,
    )
    assert (await office.submit(citizen, draft)).state == pb.SERVICE_REQUEST_STATE_SUBMITTED
    async with world.http() as http:
        answer = await http.get("/v1/serviceStatistics", params={"group_by": "channel"})
        assert answer.status_code == httpx.codes.OK
        assert answer.json() == {"groups": []}
