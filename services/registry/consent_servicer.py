"""ConsentService: consents of subjects, the records of accesses to their documents, and what
identity did in their names."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from qagazsyz.registry.v1 import consents_pb2
from services.registry.documents.interface import Directory, check_organizations
from services.registry.documents.receipts import read_receipts
from services.registry.documents.store import find_documents_of, find_type
from services.registry.identity_events.store import list_newest
from services.registry.log.transparency_log import TransparencyLog
from services.registry.lookups import store
from services.registry.lookups.consent_lifecycle import ConsentLifecycle
from services.registry.lookups.requests import consent_fingerprint, parse_consent
from services.registry.messages import access_message, consent_message, identity_event_message
from services.registry.model.consents import Consent, may_read, may_withdraw
from services.registry.model.log_entries import (
    Opening,
    access_openings,
    grant_openings,
    identity_openings,
    withdrawal_openings,
)
from services.registry.model.resource_names import check_name
from services.runtime.access import Caller, Role
from services.runtime.clock import Clock, Randomness
from services.runtime.errors import InvalidArgument, NotFound, PermissionDenied
from services.runtime.server import Call
from services.runtime.storage.database import Database
from services.runtime.storage.idempotency import read_request_key


class ConsentServicer:
    """The contract's ConsentService."""

    def __init__(
        self,
        *,
        database: Database,
        transparency_log: TransparencyLog,
        lifecycle: ConsentLifecycle,
        directory: Directory,
        clock: Clock,
        randomness: Randomness,
    ) -> None:
        self._database = database
        self._log = transparency_log
        self._lifecycle = lifecycle
        self._directory = directory
        self._clock = clock
        self._randomness = randomness

    # --- Consents ------------------------------------------------------------

    async def GrantConsent(
        self, request: consents_pb2.GrantConsentRequest, call: Call
    ) -> consents_pb2.Consent:
        key = read_request_key("GrantConsent", call.caller.scope, request.request_id)
        request_sha256 = consent_fingerprint(request.consent)
        consent = await self._lifecycle.find_granted(key, request_sha256)
        if consent is None:
            asked = parse_consent(request.consent, call.caller, self._clock(), self._randomness)
            await self._check_parties(asked, call)
            consent = await self._lifecycle.grant(asked, key, request_sha256)
        return await self._message(consent)

    async def _check_parties(self, consent: Consent, call: Call) -> None:
        named = {"consent.organization": consent.organization}
        await check_organizations(self._directory, named, call)
        async with self._database.reading() as connection:
            document_type = await find_type(connection, consent.document_type)
        if document_type is None:
            raise InvalidArgument("consent.document_type", "there is no such type")

    async def WithdrawConsent(
        self, request: consents_pb2.WithdrawConsentRequest, call: Call
    ) -> consents_pb2.Consent:
        consent = await self._find_consent(request.name)
        if consent is None or not may_withdraw(call.caller, consent):
            raise PermissionDenied
        return await self._message(await self._lifecycle.withdraw(consent))

    async def GetConsent(
        self, request: consents_pb2.GetConsentRequest, call: Call
    ) -> consents_pb2.Consent:
        consent = await self._find_consent(request.name)
        if consent is None and call.caller.has(Role.ROLE_AUDITOR):
            raise NotFound("there is no such consent")
        if consent is None or not may_read(call.caller, consent):
            raise PermissionDenied
        return await self._message(consent)

    async def ListConsents(
        self, request: consents_pb2.ListConsentsRequest, call: Call
    ) -> consents_pb2.ListConsentsResponse:
        caller = call.caller
        subject = request.subject and check_name(request.subject, "subjects", "subject")
        organization = ""
        if caller.has(Role.ROLE_OFFICER):
            organization = caller.organization
        elif not caller.has(Role.ROLE_AUDITOR):
            subject = _own(subject, caller)
        page = call.page(request, organization, subject)
        async with self._database.reading() as connection:
            found = await store.list_consents(
                connection,
                subject=subject,
                organization=organization,
                before=page.after,
                limit=page.limit,
            )
            shown, next_page_token = page.cut(found, key=lambda each: each.name)
            messages = await self._messages(connection, shown)
        return consents_pb2.ListConsentsResponse(consents=messages, next_page_token=next_page_token)

    async def _find_consent(self, name: str) -> Consent | None:
        check_name(name, "consents", "name")
        async with self._database.reading() as connection:
            return await store.find_consent(connection, name)

    async def _message(self, consent: Consent) -> consents_pb2.Consent:
        async with self._database.reading() as connection:
            (message,) = await self._messages(connection, [consent])
        return message

    async def _messages(
        self, connection: AsyncConnection, consents: Sequence[Consent]
    ) -> list[consents_pb2.Consent]:
        """Return the consents with the receipts of their grants and withdrawals."""
        wanted: list[tuple[int, Sequence[Opening]]] = []
        for each in consents:
            wanted.append((each.grant_index, grant_openings(each)))
            if each.withdraw_index is not None:
                wanted.append((each.withdraw_index, withdrawal_openings(each)))
        receipts = iter(await read_receipts(connection, self._log, wanted))
        return [
            consent_message(
                each,
                grant_receipt=next(receipts),
                withdraw_receipt=next(receipts) if each.withdraw_index is not None else None,
            )
            for each in consents
        ]

    # --- Accesses ------------------------------------------------------------

    async def ListAccesses(
        self, request: consents_pb2.ListAccessesRequest, call: Call
    ) -> consents_pb2.ListAccessesResponse:
        subject = request.subject and check_name(request.subject, "subjects", "subject")
        # An officer sees what their organization did, whomever it concerns.
        is_officer = call.caller.has(Role.ROLE_OFFICER)
        organization = call.caller.organization if is_officer else ""
        sees_whole = is_officer or call.caller.has(Role.ROLE_AUDITOR)
        if not sees_whole:
            subject = _own(subject, call.caller)
        page = call.page(request, subject)
        async with self._database.reading() as connection:
            found = await store.list_accesses(
                connection,
                subject=subject,
                organization=organization,
                before=page.after,
                limit=page.limit,
            )
            shown, next_page_token = page.cut(found, key=lambda each: each.name)
            seen = shown
            if not sees_whole:
                named = [name for each in shown for name in each.documents]
                own = await find_documents_of(connection, subject, named)
                seen = [each.seen_by(subject, own) for each in shown]
            wanted = [
                (each.log_index, access_openings(each, reader.documents))
                for each, reader in zip(shown, seen, strict=True)
            ]
            receipts = await read_receipts(connection, self._log, wanted)
        return consents_pb2.ListAccessesResponse(
            accesses=[
                access_message(each, receipt) for each, receipt in zip(seen, receipts, strict=True)
            ],
            next_page_token=next_page_token,
        )

    # --- Identity's events ---------------------------------------------------

    async def ListIdentityEvents(
        self, request: consents_pb2.ListIdentityEventsRequest, call: Call
    ) -> consents_pb2.ListIdentityEventsResponse:
        subject = request.subject and check_name(request.subject, "subjects", "subject")
        if not call.caller.has(Role.ROLE_AUDITOR):
            subject = _own(subject, call.caller)
        subject = subject or call.caller.subject
        page = call.page(request, subject)
        async with self._database.reading() as connection:
            found = await list_newest(
                connection,
                subject,
                before=int(page.after) if page.after else None,
                limit=page.limit,
            )
            shown, next_page_token = page.cut(found, key=lambda each: str(each.number))
            wanted = [(each.log_index, identity_openings(each)) for each in shown]
            receipts = await read_receipts(connection, self._log, wanted)
        return consents_pb2.ListIdentityEventsResponse(
            events=[
                identity_event_message(each, receipt)
                for each, receipt in zip(shown, receipts, strict=True)
            ],
            next_page_token=next_page_token,
        )


def _own(subject: str, caller: Caller) -> str:
    """Return the caller's own name. Raises PermissionDenied if another's was asked for."""
    if subject not in ("", caller.subject):
        raise PermissionDenied
    return caller.subject
