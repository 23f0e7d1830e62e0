"""Confirming an act by phone: a method and its request in, a confirmation out, once the SIM has
signed the act's lines (common/v1/confirmation.proto).

The lines are made here, for the caller's own subject and the phone whose SIM the caller signed in
with; so is the text on its screen. A caller chooses neither a word of them nor whose phone is
asked. What was signed is brought to identity before the caller hears of it, where every service
finds it: no service calls signing to check a confirmation.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from services.runtime.access import Caller
from services.runtime.clock import Clock
from services.runtime.errors import FailedPrecondition, PermissionDenied
from services.runtime.server import Call
from services.runtime.storage.database import Database
from services.signing.by_phone import store
from services.signing.by_phone.act_texts import act_shown
from services.signing.by_phone.clients import TokenClient
from services.signing.by_phone.requests import WantedAct
from services.signing.by_phone.rules import CHALLENGE_KEPT
from services.signing.mobile.clients import PhoneClient
from services.signing.mobile.display_text import make_text
from services.signing.mobile.rules import (
    MobileSignaturePurpose,
    MobileSignatureState,
    Session,
    SignerPhone,
    Wanted,
    parse_name,
)
from services.signing.mobile.sessions import Sessions, digest_of

CONFIRM = MobileSignaturePurpose.CONFIRM


@dataclass(frozen=True, slots=True, repr=False)
class ActConfirmation:
    """A session that confirms an act, and the challenge in the lines that it signs."""

    session: Session
    challenge: bytes
    # As it stands on the screen; empty once it is erased.
    display_text: str


class Confirming:
    """Has phones confirm their holders' acts."""

    def __init__(
        self,
        *,
        database: Database,
        sessions: Sessions,
        phones: PhoneClient,
        tokens: TokenClient,
        short_name: str,
        clock: Clock,
    ) -> None:
        """short_name: the platform's, on screens."""
        self._database = database
        self._sessions = sessions
        self._phones = phones
        self._tokens = tokens
        self._short_name = short_name
        self._clock = clock

    async def start(self, act: WantedAct, call: Call) -> ActConfirmation:
        """Start the confirmation of an act of the caller's. Raises FailedPrecondition and
        ResourceExhausted."""
        caller = call.caller
        phone = await self._own_phone(caller, call)
        challenge, expire_time = await self._tokens.create_challenge("", call)
        text = make_text(self._short_name, act_shown(act.method, phone.language))
        wanted = Wanted(
            subject=caller.subject,
            requester=caller.subject,
            is_own=True,
            purpose=CONFIRM,
            digest=digest_of(act.lines(caller, challenge), CONFIRM),
            display_text=text,
            phone=phone,
            expire_time=expire_time,
        )

        async def work(connection: AsyncConnection) -> tuple[Session, list[str]]:
            session, ended = await self._sessions.add(connection, wanted)
            now = self._clock()
            await store.insert_act_challenge(connection, session.id, challenge, now)
            return session, ended

        session, ended = await self._database.run(work)
        self._sessions.started(ended)
        return ActConfirmation(session, challenge, text)

    async def get(self, name: str, seconds: float, call: Call) -> ActConfirmation:
        """Return a confirmation of the caller's, once it has changed or so many seconds have
        passed. Raises PermissionDenied, and FailedPrecondition if it was signed too long ago."""
        session = await self._sessions.find(parse_name(name))
        if session is None or session.purpose is not CONFIRM:
            raise PermissionDenied()
        if session.subject != call.caller.subject:
            raise PermissionDenied()
        async with self._database.reading() as connection:
            challenge = await store.find_act_challenge(connection, session.id)
        if seconds > 0:
            session = await self._sessions.wait(session, seconds)
        if session.state is MobileSignatureState.SIGNED:
            if challenge is None or not session.signature:
                raise FailedPrecondition("CONFIRMATION_INVALID", "it was signed too long ago")
            await self._tokens.keep_signature(challenge, session, call)
        _, text = self._sessions.number_and_text(session)
        return ActConfirmation(session, challenge or b"", text)

    async def _own_phone(self, caller: Caller, call: Call) -> SignerPhone:
        """Return the phone whose SIM the caller signed in with. Raises FailedPrecondition if it is
        none, or not bound any more."""
        phone = None
        if caller.certificate:
            certificate = f"{caller.subject}/certificates/{caller.certificate}"
            phone = await self._phones.find_by_certificate(caller.subject, certificate, call)
        if phone is None:
            raise FailedPrecondition("NOT_BY_PHONE", "the token was not got by a phone bound now")
        return phone

    async def forget(self) -> None:
        """Delete the challenges of acts that can be confirmed no more."""

        async def work(connection: AsyncConnection) -> None:
            await store.delete_act_challenges(connection, self._clock() - CHALLENGE_KEPT)

        await self._database.run(work)
