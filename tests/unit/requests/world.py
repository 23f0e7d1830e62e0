"""A requests service over a real database, and people who ask it for something."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from qagazsyz.common.v1 import access_pb2
from qagazsyz.requests.v1 import public_services_pb2 as services_pb
from qagazsyz.requests.v1 import service_requests_pb2 as pb
from services.requests.main import Neighbours, Parts, build
from services.requests.model.templates import AttributeKind, OutputAttribute
from services.requests.model.working_days import Calendar
from services.requests.privacy.private_texts import PrivateTexts
from services.requests.public_services.interface import DocumentType
from services.requests.settings import HOLIDAYS
from services.runtime.sealing import SecretKey
from services.runtime.server import Call
from services.runtime.storage.database import Database
from tests.calls import call
from tests.clock import Clock
from tests.unit.requests.neighbours import Platform

# A Friday in a month without holidays.
START = datetime(2026, 11, 6, 5, 30, tzinfo=UTC)
NAME = "qagazsyz.example"
ADDRESS, CERTIFICATE = "documentTypes/address", "documentTypes/address-certificate"
TEMPLATE = (
    '{"city":"{evidence/0/city}","name":"{applicant/family_name}","no":"{request}","on":"{date}"}'
)


@dataclass
class World:
    """The service, its neighbours, a provider with an officer, and a person."""

    database: Database
    clock: Clock
    platform: Platform
    parts: Parts
    provider: str
    appeal_body: str
    officer: str
    person: str

    # --- Calls ---------------------------------------------------------------

    def citizen(self, person: str = "") -> Call:
        return call(person or self.person, "", access_pb2.ROLE_CITIZEN)

    def as_officer(self, officer: str = "", organization: str = "") -> Call:
        return call(officer or self.officer, organization or self.provider, access_pb2.ROLE_OFFICER)

    def operator(self) -> Call:
        return call("subjects/operator", "", access_pb2.ROLE_OPERATOR, access_pb2.ROLE_CITIZEN)

    def auditor(self) -> Call:
        return call("subjects/auditor", "", access_pb2.ROLE_AUDITOR, access_pb2.ROLE_CITIZEN)

    def sign(self, who: str, text: str) -> services_pb.StatementSignature:
        credential = self.platform.credentials[who]
        algorithm, signature = credential.sign(text.encode())
        return services_pb.StatementSignature(
            certificate=credential.certificate,
            algorithm=algorithm,
            signature=signature,
        )

    # --- Public services -----------------------------------------------------

    def definition(self, **changes: Any) -> services_pb.PublicService:
        """What a service with officers is made of, with changes."""
        values: dict[str, Any] = {
            "display_names": {"en": "Address certificate"},
            "provider": self.provider,
            "output": CERTIFICATE,
            "time_limit_days": 3,
            "appeal_body": self.appeal_body,
            "evidence": [
                services_pb.Evidence(
                    document_type=ADDRESS, purpose="address", attributes=["/city"], required=True
                )
            ],
        }
        return services_pb.PublicService(**{**values, **changes})

    def by_rule(self, **changes: Any) -> services_pb.PublicService:
        """What a service that is decided by rule is made of, with changes."""
        values = {"time_limit_days": 0, "key": "keys/seal", "output_template": TEMPLATE}
        return self.definition(**{**values, **changes})

    async def create(
        self, service: services_pb.PublicService, service_id: str = "address"
    ) -> services_pb.PublicService:
        return await self.parts.public_services.CreatePublicService(
            services_pb.CreatePublicServiceRequest(
                public_service=service, public_service_id=service_id
            ),
            self.operator(),
        )

    async def approve(self, service: services_pb.PublicService) -> services_pb.PublicService:
        return await self.parts.public_services.ApprovePublicService(
            services_pb.ApprovePublicServiceRequest(
                name=service.name,
                version=service.version,
                signature=self.sign(self.officer, service.mandate),
            ),
            self.as_officer(),
        )

    async def offered(
        self, service: services_pb.PublicService | None = None, service_id: str = "address"
    ) -> services_pb.PublicService:
        """Create and approve a service."""
        return await self.approve(await self.create(service or self.definition(), service_id))

    # --- Requests ------------------------------------------------------------

    def has_address(self, person: str = "") -> None:
        self.platform.documents[person or self.person, ADDRESS] = "documents/address"

    async def draft(
        self, service: services_pb.PublicService, person: str = "", form: str = ""
    ) -> pb.ServiceRequest:
        return await self.parts.service_requests.CreateServiceRequest(
            pb.CreateServiceRequestRequest(
                service_request=pb.ServiceRequest(public_service=service.name, form=form)
            ),
            self.citizen(person),
        )

    async def submit(self, draft: pb.ServiceRequest) -> pb.ServiceRequest:
        return await self.parts.service_requests.SubmitServiceRequest(
            pb.SubmitServiceRequestRequest(
                name=draft.name, signature=self.sign(draft.applicant, draft.statement)
            ),
            self.citizen(draft.applicant),
        )

    async def submitted(
        self, service: services_pb.PublicService | None = None, person: str = ""
    ) -> pb.ServiceRequest:
        """Ask for a service whose evidence is there."""
        self.has_address(person)
        service = service or await self.offered()
        return await self.submit(await self.draft(service, person))

    async def in_progress(self) -> pb.ServiceRequest:
        submitted = await self.submitted()
        return await self.parts.service_requests.AcceptServiceRequest(
            pb.AcceptServiceRequestRequest(name=submitted.name), self.as_officer()
        )


def make_world(database: Database) -> World:
    clock = Clock(START)
    platform = Platform(clock)
    parts = build(
        database=database,
        texts=PrivateTexts(SecretKey("text", b"t" * 32)),
        calendar=Calendar.parse(HOLIDAYS.read_text()),
        neighbours=Neighbours(platform, platform, platform, platform, platform),
        platform=NAME,
        clock=clock,
    )
    provider = platform.organization()
    platform.types[ADDRESS] = DocumentType(
        frozenset({provider}), {"/city": OutputAttribute("/city", AttributeKind.TEXT, True)}
    )
    platform.types[CERTIFICATE] = DocumentType(
        frozenset({provider}),
        {
            "/city": OutputAttribute("/city", AttributeKind.TEXT, True),
            "/on": OutputAttribute("/on", AttributeKind.DATE, True),
        },
    )
    return World(
        database=database,
        clock=clock,
        platform=platform,
        parts=parts,
        provider=provider,
        appeal_body=platform.organization(),
        officer=platform.person(),
        person=platform.person(),
    )
