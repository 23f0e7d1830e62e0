"""ConsentService: what subjects allow, and who has looked, as callers meet it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

from qagazsyz.registry.v1 import consents_pb2
from services.registry.clients import Directory, SubjectKind
from services.registry.documents.store import KeptRequest, NothingChanged, RequestKey, Store, Taken
from services.registry.lookups.store import RecordStore
from services.registry.messages import access_message, consent_message, next_page_token, read_time
from services.registry.model import consents, log_entries
from services.registry.model.consents import Consent
from services.registry.model.log_entries import SALT_BYTES, Opening
from services.registry.model.resource_names import check_name, check_text, new_name
from services.runtime.access import Caller, Role
from services.runtime.clock import Clock, Randomness
from services.runtime.errors import (
    AlreadyExists,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    Unavailable,
)
from services.runtime.paging import decode_token, page_size
from services.runtime.server import Call
from services.runtime.storage.idempotency import check_request_id

PURPOSE_TEXT_LENGTH = 2_000


class ConsentServicer:
    """The contract's ConsentService."""

    def __init__(
        self,
        *,
        store: Store,
        records: RecordStore,
        directory: Directory,
        clock: Clock,
        randomness: Randomness,
    ) -> None:
        self._store = store
        self._records = records
        self._directory = directory
        self._clock = clock
        self._randomness = randomness

    # --- Consents ------------------------------------------------------------

    async def GrantConsent(
        self, request: consents_pb2.GrantConsentRequest, call: Call
    ) -> consents_pb2.Consent:
        request_id = check_request_id(request.request_id)
        key = RequestKey("GrantConsent", call.caller.scope, request_id) if request_id else None
        asked = _fingerprint(request.consent)
        granted = await self._granted_before(key, asked)
        if granted is not None:
            return await self._message(granted)
        consent = self._read(request.consent, call.caller)
        await self._check_parties(consent, call)
        try:
            index = await self._records.insert_consent(
                consent, log_entries.consented_entry(consent), key, asked
            )
        except Taken:
            # The same request, sent twice at once: the other one was first.
            granted = await self._granted_before(key, asked)
            if granted is None:
                raise Unavailable("the consent could not be kept") from None
            return await self._message(granted)
        return await self._message(replace(consent, grant_index=index))

    async def _granted_before(self, key: RequestKey | None, asked: bytes) -> Consent | None:
        """What the same request made. Raises AlreadyExists where it asked for something else."""
        found: tuple[KeptRequest, Consent] | None = None
        if key is not None:
            found = await self._records.find_granted(key)
        if found is None:
            return None
        kept, consent = found
        if kept.request_sha256 != asked:
            raise AlreadyExists("this request_id was used for another request", "request_id")
        return consent

    def _read(self, message: consents_pb2.Consent, caller: Caller) -> Consent:
        now = self._clock()
        return Consent(
            name=new_name("consents", now, self._randomness),
            subject=caller.subject,
            organization=check_name(message.organization, "subjects", "consent.organization"),
            document_type=check_name(
                message.document_type, "documentTypes", "consent.document_type"
            ),
            purpose=consents.check_purpose(message.purpose, "consent.purpose"),
            purpose_text=check_text(
                message.purpose_text, PURPOSE_TEXT_LENGTH, "consent.purpose_text"
            ),
            create_time=now,
            expire_time=consents.check_expire_time(
                read_time(message, "consent.expire_time"), now, "consent.expire_time"
            ),
            grant_salt=self._randomness(SALT_BYTES),
        )

    async def _check_parties(self, consent: Consent, call: Call) -> None:
        found = await self._directory.find_subjects([consent.organization], call)
        if found.get(consent.organization) is not SubjectKind.ORGANIZATION:
            raise InvalidArgument("consent.organization", "there is no such organization")
        if await self._store.find_type(consent.document_type) is None:
            raise InvalidArgument("consent.document_type", "there is no such type")

    async def WithdrawConsent(
        self, request: consents_pb2.WithdrawConsentRequest, call: Call
    ) -> consents_pb2.Consent:
        check_name(request.name, "consents", "name")
        consent = await self._records.find_consent(request.name)
        if consent is None or not consents.may_withdraw(call.caller, consent):
            raise PermissionDenied
        now, salt = self._clock(), self._randomness(SALT_BYTES)
        # Where it was withdrawn before, the caller has what they want.
        with suppress(NothingChanged):
            await self._records.withdraw_consent(
                consent.name,
                time=now,
                salt=salt,
                entry=log_entries.withdrawn_entry(consent, now, salt),
            )
        return await self._message(await self._present(consent.name))

    async def GetConsent(
        self, request: consents_pb2.GetConsentRequest, call: Call
    ) -> consents_pb2.Consent:
        check_name(request.name, "consents", "name")
        consent = await self._records.find_consent(request.name)
        if consent is None:
            if call.caller.has(Role.ROLE_AUDITOR):
                raise NotFound("there is no such consent")
            raise PermissionDenied
        if not consents.may_read(call.caller, consent):
            raise PermissionDenied
        return await self._message(consent)

    async def ListConsents(
        self, request: consents_pb2.ListConsentsRequest, call: Call
    ) -> consents_pb2.ListConsentsResponse:
        size = page_size(request.page_size)
        caller = call.caller
        subject = request.subject and check_name(request.subject, "subjects", "subject")
        organization = ""
        if caller.has(Role.ROLE_OFFICER):
            organization = caller.organization
        elif not caller.has(Role.ROLE_AUDITOR):
            subject = _own(subject, caller)
        of = f"ListConsents {organization} {subject}"
        last = decode_token(request.page_token, of=of, parts=1)
        found = await self._records.list_consents(
            subject=subject,
            organization=organization,
            before=last[0] if last else "",
            limit=size + 1,
        )
        return consents_pb2.ListConsentsResponse(
            consents=await self._messages(found[:size]),
            next_page_token=next_page_token([each.name for each in found], size, of),
        )

    async def _present(self, name: str) -> Consent:
        consent = await self._records.find_consent(name)
        if consent is None:
            raise NotFound("there is no such consent")
        return consent

    async def _message(self, consent: Consent) -> consents_pb2.Consent:
        return (await self._messages([consent]))[0]

    async def _messages(self, found: Sequence[Consent]) -> list[consents_pb2.Consent]:
        wanted: list[tuple[int, Sequence[Opening]]] = []
        for each in found:
            wanted.append(
                (each.grant_index, log_entries.consent_openings(each.subject, each.grant_salt))
            )
            if each.withdraw_index is not None:
                wanted.append(
                    (
                        each.withdraw_index,
                        log_entries.consent_openings(each.subject, each.withdraw_salt),
                    )
                )
        receipts = iter(await self._store.receipts(wanted))
        return [
            consent_message(
                each,
                grant_receipt=next(receipts),
                withdraw_receipt=next(receipts) if each.withdraw_index is not None else None,
            )
            for each in found
        ]

    # --- Accesses ------------------------------------------------------------

    async def ListAccesses(
        self, request: consents_pb2.ListAccessesRequest, call: Call
    ) -> consents_pb2.ListAccessesResponse:
        size = page_size(request.page_size)
        caller = call.caller
        subject = request.subject and check_name(request.subject, "subjects", "subject")
        is_auditor = caller.has(Role.ROLE_AUDITOR)
        if not is_auditor:
            subject = _own(subject, caller)
        of = f"ListAccesses {subject}"
        last = decode_token(request.page_token, of=of, parts=1)
        found = await self._records.list_accesses(
            subject=subject, before=last[0] if last else "", limit=size + 1
        )
        page = found[:size]
        receipts = await self._store.receipts(
            [(each.log_index, log_entries.access_openings(each)) for each in page]
        )
        if not is_auditor:
            own = await self._records.own_documents(
                subject, [name for each in page for name in each.documents]
            )
            page = [each.seen_by(subject, own) for each in page]
        return consents_pb2.ListAccessesResponse(
            accesses=[
                access_message(each, receipt) for each, receipt in zip(page, receipts, strict=True)
            ],
            next_page_token=next_page_token([each.name for each in found], size, of),
        )


def _own(subject: str, caller: Caller) -> str:
    """The caller's own name. Raises PermissionDenied where another's was asked for."""
    if subject not in ("", caller.subject):
        raise PermissionDenied
    return caller.subject


def _fingerprint(message: consents_pb2.Consent) -> bytes:
    """SHA-256 of what a consent is asked to say."""
    expire_time = message.expire_time
    parts = [
        message.organization,
        message.document_type,
        message.purpose,
        message.purpose_text,
        [expire_time.seconds, expire_time.nanos] if message.HasField("expire_time") else None,
    ]
    return hashlib.sha256(json.dumps(parts).encode()).digest()
