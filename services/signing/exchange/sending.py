"""Send sessions' requests to their SIMs, and ask messaging what became of them.

A session is stored first; then any replica sends what is unsent. The packet is made of the
session's row alone and goes under the session's id, so that however often it is handed over,
messaging has one message with one counter.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncConnection

from services.runtime.clock import Clock
from services.runtime.errors import DomainError
from services.runtime.storage.database import Database
from services.signing.exchange.clients import (
    MessagePriority,
    MessageState,
    MessagingClient,
    NotSent,
    Outgoing,
)
from services.signing.mobile import store
from services.signing.mobile.changes import wait_at_most
from services.signing.mobile.outcomes import DELIVERY_FAILED, SIM_FAILED
from services.signing.mobile.rules import MobileSignaturePurpose, Session
from services.signing.mobile.sessions import Sessions
from services.signing.sims.keys import SimKeys
from sms.applet import Question, Request, write_request
from sms.secured_packets import write_command

log = logging.getLogger(__name__)

# Requests handed over at once.
SENT_AT_ONCE = 32
# Without a wake-up, unsent sessions are looked for this often: another replica's, or what could not
# be handed over.
SEND_SECONDS = 1.0
# Messaging is asked about a request first after this, then each time half a session's age later:
# most people answer before the third time, and the answer tells all.
FIRST_LOOK = timedelta(seconds=2)
LOOKED_AT_ONCE = 64
LOOK_SECONDS = 1.0

_QUESTIONS = {MobileSignaturePurpose.AUTHENTICATE: Question.ENTER}


class Sending:
    """Sends requests, and follows their delivery."""

    def __init__(
        self,
        *,
        database: Database,
        sessions: Sessions,
        sim_keys: SimKeys,
        messaging: MessagingClient,
        clock: Clock,
    ) -> None:
        self._database = database
        self._sessions = sessions
        self._sim_keys = sim_keys
        self._messaging = messaging
        self._clock = clock
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Have unsent sessions looked for at once."""
        self._woken.set()

    async def run(self) -> None:
        """Send what is unsent, until cancelled."""
        while True:
            self._woken.clear()
            try:
                is_more = await self.send_some()
            except Exception as error:  # a database that is away must not end this for good
                log.warning("sending failed", extra={"exception": type(error).__name__})
                is_more = False
            if not is_more:
                await wait_at_most(self._woken, SEND_SECONDS)

    async def send_some(self) -> bool:
        """Send some of what is unsent; return whether there may be more that can be sent."""
        async with self._database.reading() as connection:
            unsent = await store.list_unsent(connection, self._clock(), SENT_AT_ONCE)
        done = await asyncio.gather(*map(self._send, unsent))
        return len(unsent) == SENT_AT_ONCE and all(done)

    async def _send(self, session: Session) -> bool:
        """Send one session's request; return False if it is to be tried again."""
        number, text = self._sessions.number_and_text(session)
        async with self._database.reading() as connection:
            key = await self._sim_keys.get(connection, session.sim)
        if key is None or not number:
            # The card's key was deleted with its card, or cannot be unsealed any more.
            await self._sessions.end(session.id, SIM_FAILED)
            return True
        question = _QUESTIONS.get(session.purpose, Question.SIGN)
        request = write_request(Request(session.digest, text, session.nonce, question))
        own = MessagePriority.OWN
        message = Outgoing(
            request_id=session.id,
            phone=number,
            packet=write_command(session.counter, request, key),
            priority=own if session.is_own else MessagePriority.ORGANIZATION,
            expire_time=session.expire_time,
        )
        try:
            name = await self._messaging.send(message)
        except NotSent as error:
            log.warning("messaging refused a request", extra={"code": str(error)})
            # Of one whose time passed on the way, the session's own end says all.
            if self._clock() < session.expire_time:
                await self._sessions.end(session.id, DELIVERY_FAILED)
            return True
        except DomainError as error:
            log.warning("messaging cannot be reached", extra={"reason": error.reason})
            return False

        async def work(connection: AsyncConnection) -> None:
            await store.set_message(connection, session.id, name, self._clock() + FIRST_LOOK)

        await self._database.run(work)
        return True

    async def look(self) -> None:
        """Ask messaging about requests that are due."""

        async def take(connection: AsyncConnection) -> list[Session]:
            now = self._clock()
            found = await store.take_to_look_at(connection, now, LOOKED_AT_ONCE)
            times = {each.id: _next_look(each, now) for each in found}
            await store.set_look_times(connection, times)
            return found

        due = await self._database.run(take)
        await asyncio.gather(*(self._look_at(each) for each in due))

    async def _look_at(self, session: Session) -> None:
        state = await self._messaging.state_of(session.message)
        if state is MessageState.DELIVERED:
            await self._delivered(session)
        elif state is MessageState.UNDELIVERABLE:
            await self._sessions.end(session.id, DELIVERY_FAILED)
        # One that expired on its way: the phone is absent, which the session's own end says.

    async def _delivered(self, session: Session) -> None:
        async def work(connection: AsyncConnection) -> bool:
            return await store.set_delivered(connection, session.id)

        if await self._database.run(work):
            self._sessions.changes.announce([session.id])


def _next_look(session: Session, now: datetime) -> datetime:
    return now + FIRST_LOOK + (now - session.create_time) / 2
