"""Grants and withdrawals of consents, each with its entry in the log."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

from sqlalchemy.ext.asyncio import AsyncConnection

from services.registry.documents.lifecycle import NothingChanged
from services.registry.documents.store import kept_requests, request_row
from services.registry.log.group_commit import Apply, Conflict
from services.registry.log.sequencer import Sequencer
from services.registry.log.transparency_log import encode_entry
from services.registry.lookups import store
from services.registry.model.consents import Consent
from services.registry.model.log_entries import (
    NEWEST_VERSION,
    SALT_BYTES,
    consented_entry,
    withdrawn_entry,
)
from services.runtime.clock import Clock, Randomness
from services.runtime.errors import NotFound, Unavailable
from services.runtime.storage.database import Database
from services.runtime.storage.kept_requests import RequestKey


class ConsentLifecycle:
    """Grants and withdraws consents. What is returned is durable."""

    def __init__(
        self,
        database: Database,
        sequencer: Sequencer,
        clock: Clock,
        randomness: Randomness,
        entry_version: int = NEWEST_VERSION,
    ) -> None:
        self._database = database
        self._sequencer = sequencer
        self._clock = clock
        self._randomness = randomness
        self._entry_version = entry_version

    async def find_granted(
        self, request: RequestKey | None, request_sha256: bytes
    ) -> Consent | None:
        """Return the consent that the same request granted, or None.

        Raises AlreadyExists if the request_id was used for another consent.
        """
        if request is None:
            return None
        async with self._database.reading() as connection:
            name = await kept_requests.find_result(connection, request, request_sha256)
            return None if name is None else await store.find_consent(connection, name)

    async def grant(
        self,
        consent: Consent,
        request: RequestKey | None,
        request_sha256: bytes,
        apply: Apply | None = None,
    ) -> Consent:
        """Store a consent; return it, or the one that the same request granted at the same time.

        apply: what else changes in the same transaction; what it raises goes to the caller.
        """
        consent = replace(consent, grant_text_salt=self._text_salt())
        rows = [store.consent_row(consent)]
        if request is not None:
            rows.append(request_row(request, request_sha256, consent.name))
        try:
            committed = await self._sequencer.submit(
                [encode_entry(consented_entry(consent))], apply, rows=rows
            )
        except Conflict:
            granted = await self.find_granted(request, request_sha256)
            if granted is None:
                raise Unavailable("the consent could not be stored; retry") from None
            return granted
        return replace(consent, grant_index=committed.indexes[0])

    async def withdraw(self, consent: Consent) -> Consent:
        """Withdraw a consent; return it. Withdrawing again changes nothing."""
        now, salt, text_salt = self._clock(), self._randomness(SALT_BYTES), self._text_salt()

        async def withdraw(connection: AsyncConnection, indexes: Sequence[int]) -> None:
            if not await store.withdraw_consent(
                connection,
                consent.name,
                time=now,
                salt=salt,
                text_salt=text_salt,
                log_index=indexes[0],
            ):
                raise NothingChanged

        entry = encode_entry(withdrawn_entry(consent, now, salt, text_salt))
        with suppress(NothingChanged):
            await self._sequencer.submit([entry], withdraw)
        async with self._database.reading() as connection:
            present = await store.find_consent(connection, consent.name)
        if present is None:
            raise NotFound("there is no such consent")
        return present

    def _text_salt(self) -> bytes:
        """Return the salt of the purpose's text, which version 1 of the entries does not have."""
        return self._randomness(SALT_BYTES) if self._entry_version > 1 else b""
