"""How phones end: the certificate is revoked, the log and the holder's other phones are told."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy.ext.asyncio import AsyncConnection

from services.identity.certificates.store import revoke_certificate
from services.identity.events.event import Happening, IdentityEventBasis, IdentityEventKind
from services.identity.events.notice import PhoneNotice, PhoneNoticeKind
from services.identity.events.recorder import EventRecorder
from services.identity.phones import store
from services.identity.phones.rules import LAPSES_AFTER, Phone
from services.identity.x509.revocation_reasons import RevocationReason
from services.runtime.clock import Clock
from services.runtime.storage.database import Database

# How often it is looked for phones that ended with their certificate: signing ends their sessions
# then, and their certificate is refused at once anyhow.
TIDY_SECONDS = 60.0
# Phones that one round ends.
TIDY_LIMIT = 1_000

_REASONS = {
    PhoneNoticeKind.UNBOUND: RevocationReason.CESSATION_OF_OPERATION,
    PhoneNoticeKind.SWAPPED: RevocationReason.SUPERSEDED,
    PhoneNoticeKind.REBOUND: RevocationReason.AFFILIATION_CHANGED,
    PhoneNoticeKind.REVOKED: RevocationReason.CESSATION_OF_OPERATION,
}


class PhoneEnding:
    """Ends phones, each in the transaction of what ends it."""

    def __init__(self, *, database: Database, events: EventRecorder, clock: Clock) -> None:
        self._database = database
        self._events = events
        self._clock = clock

    async def end(
        self,
        connection: AsyncConnection,
        phones: Iterable[Phone],
        how: PhoneNoticeKind,
        *officers: str,
    ) -> None:
        """End phones that have not ended; officers: who does it, if anybody."""
        now = self._clock()
        ended = [phone for phone in phones if await store.end_phone(connection, phone, now)]
        for phone in ended:
            if phone.certificate:
                await self._end_certificate(connection, phone, how, officers)
        # Once all have ended: none of them is told of another.
        for phone in ended:
            await self.tell(connection, phone, how)

    async def tell(self, connection: AsyncConnection, phone: Phone, what: PhoneNoticeKind) -> None:
        """Have signing act on what happened to a phone, and tell the holder's other phones."""
        recipients = await store.list_recipients(connection, phone, self._clock())
        await self._events.notify(connection, PhoneNotice(what, phone.name, recipients))

    async def tidy(self) -> None:
        """End what lapsed, and the phones whose certificate is revoked or has expired."""

        async def work(connection: AsyncConnection) -> None:
            now = self._clock()
            await store.lapse_phones(connection, before=now - LAPSES_AFTER)
            lost = await store.list_lost(connection, now, limit=TIDY_LIMIT)
            await self.end(connection, lost, PhoneNoticeKind.REVOKED)

        await self._database.run(work)

    async def _end_certificate(
        self,
        connection: AsyncConnection,
        phone: Phone,
        how: PhoneNoticeKind,
        officers: tuple[str, ...],
    ) -> None:
        kinds = [IdentityEventKind.PHONE_ENDED]
        if await revoke_certificate(
            connection, phone.certificate, reason=_REASONS[how], now=self._clock()
        ):
            kinds.insert(0, IdentityEventKind.CERTIFICATE_REVOKED)
        for kind in kinds:
            happening = Happening(
                kind=kind,
                basis=IdentityEventBasis.ALONE,
                subject=phone.subject,
                fingerprint=bytes.fromhex(phone.certificate),
                officers=officers,
            )
            await self._events.record(connection, happening)
