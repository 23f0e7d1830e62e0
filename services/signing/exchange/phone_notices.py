"""Act on what identity tells of phones: ask a pending one's SIM for its key, end the sessions of
one that ended, and tell the holder's other phones by short message.

How far this has come is a row, locked while a notice is acted on: so a replica that comes second
does not ask a SIM again. The messages' ids are made of the notice, so that each goes once, however
often it is handed over. Only then does identity hear that a notice is done.
"""

from __future__ import annotations

import asyncio
import logging
import uuid

from sqlalchemy.ext.asyncio import AsyncConnection

from services.runtime.clock import Clock
from services.runtime.errors import FailedPrecondition, ResourceExhausted
from services.runtime.storage.database import Database
from services.signing.exchange.clients import (
    MessagePriority,
    MessagingClient,
    NotSent,
    Outgoing,
)
from services.signing.mobile import store
from services.signing.mobile.clients import (
    PhoneClient,
    PhoneNotice,
    PhoneNoticeKind,
    PhoneState,
    Recipient,
)
from services.signing.mobile.display_text import make_text
from services.signing.mobile.platform_texts import confirm_phone_text, notice_text
from services.signing.mobile.rules import PHONE_ENDED, SignerPhone
from services.signing.mobile.sessions import Sessions, confirmation_of
from services.signing.sims import store as sims_store

log = logging.getLogger(__name__)

# How often identity is asked: a swapped SIM's sessions end within it.
READ_SECONDS = 1.0
_ENDS = (
    PhoneNoticeKind.UNBOUND,
    PhoneNoticeKind.SWAPPED,
    PhoneNoticeKind.REBOUND,
    PhoneNoticeKind.REVOKED,
)
# Of messages' ids; this service's own.
_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "qagazsyz:signing:phone-notices")


class PhoneNotices:
    """Acts on identity's notices of phones, in order."""

    def __init__(
        self,
        *,
        database: Database,
        sessions: Sessions,
        phones: PhoneClient,
        messaging: MessagingClient,
        short_name: str,
        clock: Clock,
    ) -> None:
        """short_name: the platform's, which stands before its texts."""
        self._database = database
        self._sessions = sessions
        self._phones = phones
        self._messaging = messaging
        self._short_name = short_name
        self._clock = clock

    async def collect(self) -> None:
        """Act on all notices that identity has, and acknowledge them. Raises Unavailable and
        DeadlineExceeded."""
        after = 0
        while notices := await self._phones.read_notices(after):
            # What ends sessions must not wait for messages.
            phones = [await self._act(notice) for notice in notices]
            for notice, phone in zip(notices, phones, strict=True):
                if phone is not None:
                    await asyncio.gather(
                        *(self._tell(notice, phone, each) for each in notice.recipients)
                    )
                await self._phones.acknowledge_notices(notice.number)
                after = notice.number

    async def _act(self, notice: PhoneNotice) -> SignerPhone | None:
        """Do here what a notice asks; return its phone, None if nobody is to be told."""
        found = await self._phones.get(notice.phone)
        if found is None or notice.kind not in set(PhoneNoticeKind):
            log.warning("a notice that says nothing here", extra={"kind": notice.kind})
            return None
        state, phone = found
        kind = PhoneNoticeKind(notice.kind)

        async def work(connection: AsyncConnection) -> list[str]:
            if await store.get_notices_through(connection, for_update=True) >= notice.number:
                return []
            ended: list[str] = []
            if kind is PhoneNoticeKind.PENDING and state is PhoneState.PENDING:
                ended = await self._ask(connection, phone)
            elif kind in _ENDS:
                now = self._clock()
                ended = await store.end_of_phones(connection, [notice.phone], PHONE_ENDED, now)
                if kind is PhoneNoticeKind.SWAPPED:
                    await sims_store.delete_keys(connection, [phone.sim])
            await store.set_notices_through(connection, notice.number)
            return ended

        self._sessions.started(await self._database.run(work))
        return phone

    async def _ask(self, connection: AsyncConnection, phone: SignerPhone) -> list[str]:
        """Have a pending phone's SIM sign its challenge, unless its card has no key yet, is being
        asked already, or was too often: ConfirmPhone asks again."""
        if await sims_store.find_key(connection, phone.sim) is None:
            return []
        subject = phone.name.partition("/phones/")[0]
        text = make_text(self._short_name, confirm_phone_text(phone.language))
        try:
            _, ended = await self._sessions.add(
                connection, confirmation_of(phone, subject, "", text)
            )
        except (FailedPrecondition, ResourceExhausted) as error:
            log.info("a pending phone was not asked", extra={"reason": error.reason})
            return []
        return ended

    async def _tell(self, notice: PhoneNotice, phone: SignerPhone, to: Recipient) -> None:
        found = await self._phones.get(to.phone)
        if found is None or found[0] is not PhoneState.ACTIVE:
            return
        recipient = found[1]
        text = notice_text(PhoneNoticeKind(notice.kind), to.language, phone.number)
        message = Outgoing(
            request_id=str(uuid.uuid5(_NAMESPACE, f"{notice.number} {to.phone}")),
            phone=recipient.number,
            text=f"{self._short_name}: {text}",
            priority=MessagePriority.SECURITY,
        )
        try:
            await self._messaging.send(message)
        except NotSent as error:
            log.warning("messaging refused a notice", extra={"code": str(error)})
