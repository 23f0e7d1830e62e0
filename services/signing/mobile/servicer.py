"""MobileSignatureService: signatures on the SIM of any phone.

A session is its requester's, its subject's and the platform's. To all others one that exists and
one that does not look the same.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping

from sqlalchemy.ext.asyncio import AsyncConnection

from qagazsyz.signing.v1 import mobile_signatures_pb2 as pb
from services.runtime import telemetry
from services.runtime.access import Role
from services.runtime.errors import FailedPrecondition, InvalidArgument, PermissionDenied
from services.runtime.server import Call
from services.runtime.storage.database import Database
from services.signing.mobile.clients import PhoneClient, PhoneState
from services.signing.mobile.display_text import make_text
from services.signing.mobile.messages import session_message
from services.signing.mobile.platform_texts import confirm_phone_text
from services.signing.mobile.requests import (
    check_subject,
    parse_create,
    parse_keys,
    parse_phone,
    parse_wait,
)
from services.signing.mobile.rules import (
    CANCELLED_BY_REQUESTER,
    CANCELLED_BY_SUBJECT,
    Session,
    Wanted,
    check_may_read,
    check_purpose,
    is_subject,
    parse_name,
    requester_of,
)
from services.signing.mobile.sessions import Sessions, confirmation_of, digest_of
from services.signing.sims.keys import SimKeys
from services.signing.worker_pools import SIGNING

# A wait ends so long before the call's deadline, so that its answer arrives.
DEADLINE_MARGIN_SECONDS = 1.0


class MobileSignatureServicer:
    """Serves qagazsyz.signing.v1.MobileSignatureService."""

    def __init__(
        self,
        *,
        database: Database,
        sessions: Sessions,
        sim_keys: SimKeys,
        phones: PhoneClient,
        short_name: str,
        organizations: Mapping[str, str],
        has_network: bool,
    ) -> None:
        """short_name: the platform's, before people's own texts. organizations: those that may ask
        phones, with their short names. has_network: whether messaging runs."""
        self._database = database
        self._sessions = sessions
        self._sim_keys = sim_keys
        self._phones = phones
        self._short_name = short_name
        self._organizations = organizations
        self._has_network = has_network

    async def CreateMobileSignature(
        self, request: pb.CreateMobileSignatureRequest, call: Call
    ) -> pb.MobileSignature:
        caller = call.caller
        requester = requester_of(caller, request.subject)
        short_name = self._short_name_of(requester, request.subject)
        parsed = parse_create(request)
        check_purpose(caller, parsed.purpose)
        digest = digest_of(parsed.message, parsed.purpose)
        text = make_text(short_name, parsed.display_text)
        self._check_network()
        phone = await self._phones.find_active(parsed.subject, parsed.phone, call)
        request_key = f"{caller.scope} {parsed.request_id}" if parsed.request_id else None
        session = await self._sessions.start(
            Wanted(
                subject=parsed.subject,
                requester=requester,
                purpose=parsed.purpose,
                digest=digest,
                display_text=text,
                phone=phone,
                is_own=requester == parsed.subject,
                request_key=request_key,
            )
        )
        return self._message(session)

    async def GetMobileSignature(
        self, request: pb.GetMobileSignatureRequest, call: Call
    ) -> pb.MobileSignature:
        seconds = parse_wait(request)
        session = await self._own_session(request.name, call)
        remaining = call.time_remaining()
        if remaining is not None:
            seconds = min(seconds, remaining - DEADLINE_MARGIN_SECONDS)
        if seconds > 0:
            session = await self._sessions.wait(session, seconds)
        return self._message(session)

    async def WatchMobileSignature(
        self, request: pb.WatchMobileSignatureRequest, call: Call
    ) -> AsyncIterator[pb.MobileSignature]:
        session = await self._own_session(request.name, call)
        async for each in self._sessions.watch(session):
            yield self._message(each)

    async def ListMobileSignatures(
        self, request: pb.ListMobileSignaturesRequest, call: Call
    ) -> pb.ListMobileSignaturesResponse:
        subject = check_subject(request.subject)
        if call.caller.subject != subject:
            raise PermissionDenied()
        page = call.page(request, subject)
        found = await self._sessions.list(subject, page.after, page.limit)
        shown, next_page_token = page.cut(found, key=lambda each: each.id)
        return pb.ListMobileSignaturesResponse(
            mobile_signatures=[self._message(each) for each in shown],
            next_page_token=next_page_token,
        )

    async def CancelMobileSignature(
        self, request: pb.CancelMobileSignatureRequest, call: Call
    ) -> pb.MobileSignature:
        session = await self._own_session(request.name, call)
        end = CANCELLED_BY_SUBJECT if is_subject(call.caller, session) else CANCELLED_BY_REQUESTER
        await self._sessions.end(session.id, end)
        return self._message(await self._own_session(request.name, call))

    async def ConfirmPhone(self, request: pb.ConfirmPhoneRequest, call: Call) -> pb.MobileSignature:
        caller = call.caller
        subject = parse_phone(request.phone)
        is_official = caller.has(Role.ROLE_OPERATOR, Role.ROLE_REGISTRAR)
        if not is_official and caller.subject != subject:
            raise PermissionDenied()
        self._check_network()
        found = await self._phones.get(request.phone, call)
        if found is None:
            raise PermissionDenied()
        state, phone = found
        if state not in (PhoneState.PENDING, PhoneState.UNSEEN):
            raise FailedPrecondition("NOT_PENDING", "the phone's SIM has nothing to sign")
        async with self._database.reading() as connection:
            if await self._sim_keys.get(connection, phone.sim) is None:
                raise FailedPrecondition("NO_SIM_KEY", "no list has the key of the phone's card")
        is_bound = state is PhoneState.UNSEEN
        asked = confirm_phone_text(phone.language, is_bound=is_bound)
        text = make_text(self._short_name, asked)
        session = await self._sessions.start(confirmation_of(phone, subject, caller.subject, text))
        return self._message(session)

    async def ImportSimKeys(
        self, request: pb.ImportSimKeysRequest, call: Call
    ) -> pb.ImportSimKeysResponse:
        telemetry.annotate(keys=len(request.keys))
        keys = await SIGNING.run(parse_keys, request, self._sim_keys)
        iccids = list(keys)
        cards = await self._phones.resolve_sims(iccids, call) if iccids else []
        if "" in cards:
            unknown = cards.index("")
            raise InvalidArgument(f"keys[{unknown}].iccid", "in no list of SIMs")

        async def work(connection: AsyncConnection) -> None:
            await self._sim_keys.put(connection, dict(zip(cards, keys.values(), strict=True)))

        await self._database.run(work)
        return pb.ImportSimKeysResponse(imported_count=len(keys))

    def _short_name_of(self, requester: str, subject: str) -> str:
        """Return what stands before the text. Raises PermissionDenied if the organization has no
        leave to ask phones."""
        if requester == subject:
            return self._short_name
        short_name = self._organizations.get(requester)
        if short_name is None:
            raise PermissionDenied()
        return short_name

    def _check_network(self) -> None:
        if not self._has_network:
            raise FailedPrecondition("NO_MOBILE_NETWORK", "this platform sends no short messages")

    async def _own_session(self, name: str, call: Call) -> Session:
        session = await self._sessions.find(parse_name(name))
        return check_may_read(call.caller, session)

    def _message(self, session: Session) -> pb.MobileSignature:
        _, text = self._sessions.number_and_text(session)
        return session_message(session, text)
