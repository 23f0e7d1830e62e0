"""PublicServiceService: RPC in, RPC out."""

from __future__ import annotations

from qagazsyz.requests.v1 import public_services_pb2 as pb
from services.requests.model.public_services import PublicService
from services.requests.public_services import store
from services.requests.public_services.administration import Administration
from services.requests.public_services.messages import public_service_message
from services.requests.public_services.requests import (
    parse_new_service,
    parse_signature,
    parse_update,
    service_name,
)
from services.runtime.clock import Clock
from services.runtime.server import Call
from services.runtime.storage.database import Database


class PublicServiceServicer:
    """Public services, as everybody may read them."""

    def __init__(
        self, database: Database, administration: Administration, platform: str, clock: Clock
    ) -> None:
        """platform: the platform's name in what officers sign."""
        self._database = database
        self._administration = administration
        self._platform = platform
        self._clock = clock

    async def CreatePublicService(
        self, request: pb.CreatePublicServiceRequest, call: Call
    ) -> pb.PublicService:
        service = parse_new_service(request, self._clock())
        return self._message(await self._administration.create(service, call))

    async def UpdatePublicService(
        self, request: pb.UpdatePublicServiceRequest, call: Call
    ) -> pb.PublicService:
        name = service_name(request.public_service.name, "public_service.name")
        before = await self._administration.get(name)
        after = parse_update(request, before)
        return self._message(await self._administration.change(before, after, call))

    async def ApprovePublicService(
        self, request: pb.ApprovePublicServiceRequest, call: Call
    ) -> pb.PublicService:
        approved = await self._administration.approve(
            service_name(request.name), request.version, parse_signature(request.signature), call
        )
        return self._message(approved)

    async def SuspendPublicService(
        self, request: pb.SuspendPublicServiceRequest, call: Call
    ) -> pb.PublicService:
        name = service_name(request.name)
        return self._message(await self._administration.suspend(name, call))

    async def GetPublicService(
        self, request: pb.GetPublicServiceRequest, _call: Call
    ) -> pb.PublicService:
        return self._message(await self._administration.get(service_name(request.name)))

    async def ListPublicServices(
        self, request: pb.ListPublicServicesRequest, call: Call
    ) -> pb.ListPublicServicesResponse:
        page = call.page(request)
        async with self._database.reading() as connection:
            found = await store.list_services(connection, after=page.after, limit=page.limit)
        shown, next_page_token = page.cut(found, key=lambda each: each.name)
        return pb.ListPublicServicesResponse(
            public_services=[self._message(each) for each in shown],
            next_page_token=next_page_token,
        )

    def _message(self, service: PublicService) -> pb.PublicService:
        return public_service_message(service, self._platform)
