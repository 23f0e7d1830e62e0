"""Signing in by phone: number and IIN in, a token out once the SIM has signed identity's challenge.

Anybody may try any pair, so nothing that is answered may tell whether a pair is right. A sign-in
is a row of its own, with a session on a phone or without: with a wrong pair, and where the phone
cannot be asked now (a session is open, its person refused), there is none and nothing is sent. Both
show WAITING until the same time, then EXPIRED, and only a signature makes a difference. Starting
takes the same time, however long the phone's part of it took.

It is safe that identity exchanges the SIM's signature like any other (ExchangeToken), although its
certificate has the usage SIGN. Every person's certificate signs in, a text that begins "qagazsyz "
is signed by a SIM only where signing made it, and of those only this module's is a sign-in's. So
nobody gets a SIM's signature over a challenge by another way.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from services.runtime.clock import Clock, Randomness
from services.runtime.errors import FailedPrecondition, NotFound, ResourceExhausted
from services.runtime.sealing import Vault
from services.runtime.server import Call
from services.runtime.storage.database import Database
from services.signing.by_phone import store
from services.signing.by_phone.act_texts import sign_in_shown
from services.signing.by_phone.clients import GrantedToken, TokenClient
from services.signing.by_phone.rules import (
    EXCHANGE_MARGIN,
    REMEMBERED,
    WINDOWS,
    PhoneSignIn,
    check_limits,
    id_of,
    name_of,
    new_secret,
    waits,
)
from services.signing.mobile.clients import PhoneClient
from services.signing.mobile.display_text import make_text
from services.signing.mobile.rules import (
    MobileSignaturePurpose,
    MobileSignatureState,
    Session,
    SignerPhone,
    Wanted,
    choose_nonce,
)
from services.signing.mobile.sessions import Sessions, digest_of
from sms.applet import verification_code

AUTHENTICATE = MobileSignaturePurpose.AUTHENTICATE
# A start is answered no sooner: starting a session takes a few milliseconds of it, and not starting
# one must look the same.
ANSWER_SECONDS = 0.25

Pause = Callable[[float], Awaitable[None]]


@dataclass(frozen=True, slots=True, repr=False)
class Progress:
    """How far a sign-in has come: WAITING, SIGNED or EXPIRED, and the token if it is given now."""

    sign_in: PhoneSignIn
    state: MobileSignatureState
    token: GrantedToken | None = None


class SigningIn:
    """Starts sign-ins by phone, and gives their tokens."""

    def __init__(
        self,
        *,
        database: Database,
        vault: Vault,
        sessions: Sessions,
        phones: PhoneClient,
        tokens: TokenClient,
        short_name: str,
        clock: Clock,
        randomness: Randomness,
        pause: Pause = asyncio.sleep,
    ) -> None:
        """short_name: the platform's, on screens."""
        self._database = database
        self._vault = vault
        self._sessions = sessions
        self._phones = phones
        self._tokens = tokens
        self._short_name = short_name
        self._clock = clock
        self._randomness = randomness
        self._pause = pause

    async def start(
        self, number: str, iin: str, organization: str, call: Call
    ) -> tuple[str, PhoneSignIn]:
        """Start a sign-in; return its name and itself. Raises InvalidArgument and
        ResourceExhausted, alike for all who have the number."""
        _, result = await asyncio.gather(
            self._pause(ANSWER_SECONDS),
            self._start(number, iin, organization, call),
            # A refusal waits as any answer does.
            return_exceptions=True,
        )
        if isinstance(result, BaseException):
            raise result
        return result

    async def _start(
        self, number: str, iin: str, organization: str, call: Call
    ) -> tuple[str, PhoneSignIn]:
        number_key, phone = await self._phones.match(number, iin, call)
        challenge, challenge_ends = await self._tokens.create_challenge(organization, call)
        expire_time = challenge_ends - EXCHANGE_MARGIN
        secret = new_secret(self._randomness)

        async def work(connection: AsyncConnection) -> tuple[PhoneSignIn, list[str]]:
            now = self._clock()
            await self._check(connection, number_key, now)
            session, ended = await self._ask(connection, phone, challenge, expire_time)
            sign_in = PhoneSignIn(
                id=id_of(secret),
                number_key=number_key,
                session=session.id if session is not None else "",
                code=session.code if session is not None else self._any_code(challenge),
                create_time=now,
                expire_time=expire_time,
            )
            sealed = self._vault.seal(challenge, record=sign_in.id)
            try:
                await store.insert_sign_in(connection, sign_in, sealed)
            except store.Taken:
                raise waits(expire_time, now) from None
            return sign_in, ended

        sign_in, ended = await self._database.run(work)
        self._sessions.started(ended)
        return name_of(secret), sign_in

    async def _check(self, connection: AsyncConnection, number_key: str, now: datetime) -> None:
        """Raise ResourceExhausted if the number may not be asked now."""
        until = await store.find_open_until(connection, number_key)
        if until is not None and now < until:
            raise waits(until, now)
        await store.close_number(connection, number_key)
        most = max(limit for limit, _ in WINDOWS)
        since = now - REMEMBERED
        check_limits(await store.list_sign_ins(connection, number_key, since, most), now)

    async def _ask(
        self,
        connection: AsyncConnection,
        phone: SignerPhone | None,
        challenge: bytes,
        expire_time: datetime,
    ) -> tuple[Session | None, list[str]]:
        """Start the phone's session; return it and the ids of those that it ended. None where there
        is no phone, or it may not be asked now."""
        if phone is None:
            return None, []
        wanted = Wanted(
            subject=phone.name.rpartition("/phones/")[0],
            # Who asks is not known before it is signed: it ends no session, and the person's
            # refusals make it wait.
            requester="",
            is_own=False,
            purpose=AUTHENTICATE,
            digest=digest_of(challenge, AUTHENTICATE),
            display_text=make_text(self._short_name, sign_in_shown(phone.language)),
            phone=phone,
            expire_time=expire_time,
        )
        try:
            return await self._sessions.add(connection, wanted)
        except (FailedPrecondition, ResourceExhausted):
            return None, []

    def _any_code(self, challenge: bytes) -> str:
        """Return a code like any other."""
        digest = hashlib.sha256(challenge).digest()
        return verification_code(digest, choose_nonce(digest, (), self._randomness))

    async def get(self, secret: str, seconds: float, call: Call) -> Progress:
        """Return how far a sign-in has come, once it was signed, has ended, or so many seconds have
        passed. Raises NotFound and PermissionDenied."""
        async with self._database.reading() as connection:
            found = await store.find_sign_in(connection, id_of(secret))
        if found is None:
            raise NotFound("no sign-in has this name")
        sign_in, sealed = found
        session = await self._wait(sign_in, seconds)
        if session is None:
            is_over = self._clock() >= sign_in.expire_time
            state = MobileSignatureState.EXPIRED if is_over else MobileSignatureState.WAITING
            return Progress(sign_in, state)
        token = None
        if session.signature:
            challenge = self._vault.unseal(sealed, record=sign_in.id)
            token = await self._tokens.exchange(challenge, session, call)
        if token is not None:
            await self._close(sign_in)
        return Progress(sign_in, MobileSignatureState.SIGNED, token)

    async def _wait(self, sign_in: PhoneSignIn, seconds: float) -> Session | None:
        """Return the session once it is signed, or None: after so many seconds, or when the sign-in
        ends, whatever became of the session meanwhile."""
        session = await self._sessions.find(sign_in.session) if sign_in.session else None
        left = (sign_in.expire_time - self._clock()).total_seconds()
        loop = asyncio.get_running_loop()
        until = loop.time() + min(seconds, left)
        while session is not None and session.is_open and loop.time() < until:
            session = await self._sessions.wait(session, until - loop.time())
        if session is not None and session.state is MobileSignatureState.SIGNED:
            return session
        await asyncio.sleep(until - loop.time())
        return None

    async def _close(self, sign_in: PhoneSignIn) -> None:
        async def work(connection: AsyncConnection) -> None:
            await store.close_number(connection, sign_in.number_key)

        await self._database.run(work)

    async def forget(self) -> None:
        """Delete sign-ins that no limit remembers."""

        async def work(connection: AsyncConnection) -> None:
            await store.delete_sign_ins(connection, self._clock() - REMEMBERED)

        await self._database.run(work)
