"""Consent requests: asked by an organization, given or declined by the person.

The consent itself, its entry in the log and the request's answer are one transaction. What a person
signed is compared with the request's own statement byte by byte, so that a signature gives exactly
the consent that was read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncConnection

from qagazsyz.request_texts import ConsentStatement, WithdrawalStatement
from services.registry.consent_requests import store
from services.registry.delegation.interface import People
from services.registry.delegation.verification import DelegationCheck
from services.registry.documents.interface import SignedStatement
from services.registry.documents.lifecycle import NothingChanged
from services.registry.documents.store import find_type, kept_requests
from services.registry.lookups.consent_lifecycle import ConsentLifecycle
from services.registry.lookups.store import find_consent
from services.registry.model.consent_requests import (
    ORGANIZATION_DAILY_LIMIT,
    PERSON_DAILY_LIMIT,
    ConsentRequest,
    ConsentRequestState,
)
from services.registry.model.consents import Consent
from services.registry.model.log_entries import SALT_BYTES
from services.registry.model.resource_names import new_name
from services.runtime.clock import Clock, Randomness
from services.runtime.errors import (
    FailedPrecondition,
    InvalidArgument,
    PermissionDenied,
    QuotaExceeded,
)
from services.runtime.intake.signed_texts import parse_text
from services.runtime.server import Call
from services.runtime.storage.database import Database
from services.runtime.storage.kept_requests import RequestKey

DAY = timedelta(days=1)


class ConsentAsking:
    """Asks people for consents, and takes their answers."""

    def __init__(
        self,
        *,
        database: Database,
        lifecycle: ConsentLifecycle,
        texts: DelegationCheck,
        people: People,
        clock: Clock,
        randomness: Randomness,
        platform: str,
    ) -> None:
        """texts: verifies who signed. platform: the name that statements say."""
        self._database = database
        self._lifecycle = lifecycle
        self._texts = texts
        self._people = people
        self._clock = clock
        self._randomness = randomness
        self._platform = platform

    async def ask(
        self,
        request: ConsentRequest,
        iin: str,
        *,
        key: RequestKey | None,
        request_sha256: bytes,
        during: Call | None,
    ) -> ConsentRequest:
        """Store a request to the person with the IIN; return it, or the one of the same request_id.

        Raises InvalidArgument, AlreadyExists, QuotaExceeded and Unavailable.
        """
        async with self._database.reading() as connection:
            kept = await _find_kept(connection, key, request_sha256)
            is_type = await find_type(connection, request.document_type) is not None
        if kept is not None:
            return kept
        if not is_type:
            raise InvalidArgument("consent_request.document_type", "there is no such type")
        subject = await self._people.find_by_iin(iin, during)
        since = request.create_time - DAY

        async def insert(connection: AsyncConnection) -> ConsentRequest:
            kept = await _find_kept(connection, key, request_sha256)
            if kept is not None:
                return kept
            organization = request.organization
            if await store.count_since(connection, since, organization) >= ORGANIZATION_DAILY_LIMIT:
                raise QuotaExceeded(
                    organization, f"an organization asks {ORGANIZATION_DAILY_LIMIT} times a day"
                )
            asked = replace(request, subject=subject)
            if subject:
                times = await store.count_since(connection, since, organization, subject)
                if times >= PERSON_DAILY_LIMIT:
                    asked = request
            await store.insert_request(connection, asked)
            if key is not None:
                await kept_requests.replace(connection, key, request_sha256, request.name)
            return asked

        return await self._database.run(insert)

    async def find(self, name: str) -> ConsentRequest | None:
        """Return the request of that name, or None."""
        async with self._database.reading() as connection:
            return await store.find_request(connection, name)

    async def give(self, signed: SignedStatement, during: Call | None) -> ConsentRequest:
        """Give the consent that the signed statement answers to; return the request.

        Raises InvalidArgument, PermissionDenied, FailedPrecondition and Unavailable.
        """
        statement = parse_text(ConsentStatement.parse, signed.statement, "statement.text")
        (signer,) = await self._texts.signers([signed], during)
        request = await self.find(statement.request)
        if (
            request is None
            or request.subject != signer
            or request.statement(self._platform) != signed.statement
        ):
            raise PermissionDenied
        if request.state(self._clock()) is ConsentRequestState.GIVEN:
            return request
        self._check_waits(request)
        consent = self._consent_of(request)

        async def mark(connection: AsyncConnection, _indexes: Sequence[int]) -> None:
            if not await store.answer(
                connection, request.name, ConsentRequestState.GIVEN, consent.name
            ):
                raise NothingChanged

        try:
            await self._lifecycle.grant(consent, None, b"", mark)
        except NothingChanged:
            return self._answered(await self.find(request.name), ConsentRequestState.GIVEN)
        return replace(request, stored_state=ConsentRequestState.GIVEN, consent=consent.name)

    async def decline(self, request: ConsentRequest) -> ConsentRequest:
        """Decline; return the request. Raises FailedPrecondition if it was given or has lapsed."""
        if request.state(self._clock()) is ConsentRequestState.DECLINED:
            return request
        self._check_waits(request)

        async def work(connection: AsyncConnection) -> ConsentRequest | None:
            await store.answer(connection, request.name, ConsentRequestState.DECLINED)
            return await store.find_request(connection, request.name)

        return self._answered(await self._database.run(work), ConsentRequestState.DECLINED)

    async def withdraw(self, signed: SignedStatement, during: Call | None) -> Consent:
        """Withdraw the consent that the signed statement names; return it. Raises InvalidArgument,
        PermissionDenied and Unavailable."""
        statement = parse_text(WithdrawalStatement.parse, signed.statement, "statement.text")
        (signer,) = await self._texts.signers([signed], during)
        async with self._database.reading() as connection:
            consent = await find_consent(connection, statement.consent)
        if (
            statement.platform != self._platform
            or consent is None
            or not consent.subject == statement.subject == signer
        ):
            raise PermissionDenied
        return await self._lifecycle.withdraw(consent)

    def _check_waits(self, request: ConsentRequest) -> None:
        if request.state(self._clock()) is not ConsentRequestState.WAITING:
            raise _ended()

    def _answered(
        self, request: ConsentRequest | None, state: ConsentRequestState
    ) -> ConsentRequest:
        """Return the request, if that is its answer. Raises FailedPrecondition."""
        if request is None or request.stored_state is not state:
            raise _ended()
        return request

    def _consent_of(self, request: ConsentRequest) -> Consent:
        now = self._clock()
        return Consent(
            name=new_name("consents", now, self._randomness),
            subject=request.subject,
            organization=request.organization,
            document_type=request.document_type,
            purpose=request.purpose,
            purpose_text=request.purpose_text,
            create_time=now,
            expire_time=request.expire_time,
            grant_salt=self._randomness(SALT_BYTES),
        )


def _ended() -> FailedPrecondition:
    return FailedPrecondition("CONSENT_REQUEST_ENDED", "the request was answered or has lapsed")


async def _find_kept(
    connection: AsyncConnection, key: RequestKey | None, request_sha256: bytes
) -> ConsentRequest | None:
    """Return the request that the same request_id made. Raises AlreadyExists."""
    if key is None:
        return None
    name = await kept_requests.find_result(connection, key, request_sha256)
    return None if name is None else await store.find_request(connection, name)
