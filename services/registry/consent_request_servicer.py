"""ConsentRequestService: organizations ask people for consent."""

from __future__ import annotations

from qagazsyz.registry.v1 import consent_requests_pb2 as pb
from services.registry.consent_requests import store
from services.registry.consent_requests.asking import DAY, ConsentAsking
from services.registry.consent_requests.messages import consent_request_message
from services.registry.consent_requests.requests import parse_consent_request
from services.registry.delegation.requests import parse_signed_text
from services.registry.model.consent_requests import ConsentRequest, is_asked, may_read
from services.registry.model.resource_names import check_name
from services.runtime.access import Role
from services.runtime.clock import Clock, Randomness
from services.runtime.errors import PermissionDenied
from services.runtime.server import Call
from services.runtime.storage.database import Database
from services.runtime.storage.idempotency import fingerprint, read_request_key


class ConsentRequestServicer:
    """The contract's ConsentRequestService."""

    def __init__(
        self,
        *,
        database: Database,
        asking: ConsentAsking,
        clock: Clock,
        randomness: Randomness,
        platform: str,
    ) -> None:
        self._database = database
        self._asking = asking
        self._clock = clock
        self._randomness = randomness
        self._platform = platform

    async def CreateConsentRequest(
        self, request: pb.CreateConsentRequestRequest, call: Call
    ) -> pb.ConsentRequest:
        key = read_request_key("CreateConsentRequest", call.caller.scope, request.request_id)
        parsed = parse_consent_request(request, call.caller, self._clock(), self._randomness)
        asked = await self._asking.ask(
            parsed, request.iin, key=key, request_sha256=fingerprint(request), during=call
        )
        return self._message(asked, call)

    async def GetConsentRequest(
        self, request: pb.GetConsentRequestRequest, call: Call
    ) -> pb.ConsentRequest:
        check_name(request.name, "consentRequests", "name")
        found = await self._asking.find(request.name)
        if found is None or not may_read(call.caller, found):
            raise PermissionDenied
        return self._message(found, call)

    async def ListConsentRequests(
        self, request: pb.ListConsentRequestsRequest, call: Call
    ) -> pb.ListConsentRequestsResponse:
        page = call.page(request, call.caller.scope)
        async with self._database.reading() as connection:
            if call.caller.has(Role.ROLE_OFFICER):
                found = await store.list_of_organization(
                    connection, call.caller.organization, before=page.after, limit=page.limit
                )
            else:
                found = await store.list_waiting_for(
                    connection,
                    call.caller.subject,
                    self._clock() - DAY,
                    before=page.after,
                    limit=page.limit,
                )
        shown, next_page_token = page.cut(found, key=lambda each: each.name)
        return pb.ListConsentRequestsResponse(
            consent_requests=[self._message(each, call) for each in shown],
            next_page_token=next_page_token,
        )

    async def SignConsentRequest(
        self, request: pb.SignConsentRequestRequest, call: Call
    ) -> pb.ConsentRequest:
        asked = await self._find_asked(request.name, call)
        signed = parse_signed_text(request.statement, "statement")
        if signed.statement != asked.statement(self._platform):
            raise PermissionDenied
        return self._message(await self._asking.give(signed, call), call)

    async def DeclineConsentRequest(
        self, request: pb.DeclineConsentRequestRequest, call: Call
    ) -> pb.ConsentRequest:
        asked = await self._find_asked(request.name, call)
        return self._message(await self._asking.decline(asked), call)

    async def _find_asked(self, name: str, call: Call) -> ConsentRequest:
        """Return the request, if it asks the caller. Raises PermissionDenied."""
        check_name(name, "consentRequests", "name")
        found = await self._asking.find(name)
        if found is None or not is_asked(call.caller, found):
            raise PermissionDenied
        return found

    def _message(self, request: ConsentRequest, call: Call) -> pb.ConsentRequest:
        return consent_request_message(
            request,
            self._clock(),
            platform=self._platform,
            for_organization=call.caller.has(Role.ROLE_OFFICER),
        )
