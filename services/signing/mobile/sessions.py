"""Sessions of mobile signatures: started, waited for, ended. What the rest of signing has a SIM
sign goes through here, the platform's own texts too.

A session with a person who has no phone is a row like any other, but that nothing is sent. It is
open, it expires, and it counts for the limits, so that no answer and no refusal differs.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncConnection

from services.runtime.clock import Clock, Randomness, uuid7
from services.runtime.errors import AlreadyExists, FailedPrecondition
from services.runtime.sealing import Vault
from services.runtime.storage.database import Database
from services.signing.mobile import store
from services.signing.mobile.changes import Changes, wait_at_most
from services.signing.mobile.rules import (
    CODES_APART,
    KEPT_AFTER_END,
    OWN_A_DAY,
    SUPERSEDED,
    End,
    MobileSignatureOutcome,
    MobileSignaturePurpose,
    MobileSignatureState,
    Past,
    Session,
    SignerPhone,
    Wanted,
    check_limits,
    check_message,
    choose_nonce,
    expiry_of,
)
from services.signing.sims.keys import SimKeys
from sms.applet import verification_code

# How often sessions are looked through for those whose time is over.
EXPIRE_SECONDS = 1.0
EXPIRED_AT_ONCE = 500
# How often what ended is looked through for what is to be erased.
ERASE_SECONDS = 15.0


def digest_of(message: bytes, purpose: MobileSignaturePurpose) -> bytes:
    """Return SHA-256 of what is to be signed: the one way from a message to a SIM. Raises
    InvalidArgument for a document that begins like the platform's own texts, or a text of the
    platform's own that does not."""
    check_message(message, purpose)
    return hashlib.sha256(message).digest()


class Sessions:
    """The sessions of all replicas, in the database."""

    def __init__(
        self,
        *,
        database: Database,
        vault: Vault,
        sim_keys: SimKeys,
        lifetime: timedelta,
        clock: Clock,
        randomness: Randomness,
    ) -> None:
        """lifetime: how long a session waits for its answer."""
        self._database = database
        self._vault = vault
        self._sim_keys = sim_keys
        self._lifetime = lifetime
        self._clock = clock
        self._randomness = randomness
        self.changes = Changes(self._list_revisions)
        self._on_start: Callable[[], None] = _nobody

    def when_started(self, call: Callable[[], None]) -> None:
        """Have this called whenever a session was started here, to send its request."""
        self._on_start = call

    # Starting

    async def start(self, wanted: Wanted) -> Session:
        """Store a session, whose request is then sent; return it, or that of the same request.

        Raises FailedPrecondition (SESSION_OPEN), ResourceExhausted or AlreadyExists.
        """

        async def work(connection: AsyncConnection) -> tuple[Session, list[str]]:
            return await self.add(connection, wanted)

        try:
            session, ended = await self._database.run(work)
        except FailedPrecondition:
            # What is open may be the same request's, sent twice at once.
            known = await self._find_requested(wanted.request_key)
            if known is None:
                raise
            return _same(known, wanted)
        self.started(ended)
        return session

    async def add(self, connection: AsyncConnection, wanted: Wanted) -> tuple[Session, list[str]]:
        """Store a session in the caller's transaction, who then calls `started`; return it and the
        ids of those that it ended. Raises as start does."""
        if wanted.request_key is not None:
            known = await store.find_requested(connection, wanted.request_key)
            if known is not None:
                return _same(known, wanted), []
        now = self._clock()
        sim = wanted.phone.sim if wanted.phone is not None else ""
        ended = []
        for open_one in await store.find_open(connection, wanted.subject, sim):
            if now < open_one.expire_time and _is_same_confirmation(open_one, wanted):
                return open_one, []
            end = _end_by(wanted, open_one, now)
            if await store.end_session(connection, open_one.id, end, now):
                ended.append(open_one.id)
        check_limits(await self._past(connection, wanted), is_own=wanted.is_own, now=now)
        counter = await self._sim_keys.next_counter(connection, sim) if sim else None
        phone = wanted.phone if counter is not None else None
        codes = await store.list_codes(connection, wanted.subject, sim, CODES_APART)
        nonce = choose_nonce(wanted.digest, codes, self._randomness)
        session = Session(
            id=str(uuid7(now, self._randomness)),
            subject=wanted.subject,
            requester=wanted.requester,
            purpose=wanted.purpose,
            state=MobileSignatureState.WAITING,
            outcome=MobileSignatureOutcome.UNSPECIFIED,
            revision=0,
            code=verification_code(wanted.digest, nonce),
            nonce=nonce,
            phone=phone.name if phone is not None else "",
            sim=phone.sim if phone is not None else "",
            counter=counter or 0,
            digest=wanted.digest,
            signature=b"",
            certificate=b"",
            message="",
            create_time=now,
            expire_time=min(filter(None, (now + self._lifetime, wanted.expire_time))),
        )
        number = phone.number if phone is not None else ""
        content = f"{number}\n{wanted.display_text}".encode()
        session = replace(session, sealed=self._vault.seal(content, record=session.name))
        try:
            await store.insert_session(
                connection, session, request_key=wanted.request_key, look_time=None
            )
        except store.Taken:
            raise _open_already() from None
        return session, ended

    def started(self, ended: Sequence[str]) -> None:
        """Have a session's request sent, once its transaction is committed."""
        self.changes.announce(ended)
        self._on_start()

    @staticmethod
    async def _past(connection: AsyncConnection, wanted: Wanted) -> list[Past]:
        if wanted.purpose is MobileSignaturePurpose.CONFIRM_PHONE and wanted.phone is not None:
            return await store.list_confirmations(connection, wanted.phone.sim, OWN_A_DAY)
        return await store.list_past(connection, wanted.subject, wanted.requester, OWN_A_DAY)

    # Reading and waiting

    async def find(self, session_id: str) -> Session | None:
        """Return a session, or None."""
        async with self._database.reading() as connection:
            return await store.find_session(connection, session_id)

    async def list(self, subject: str, before: str, limit: int) -> list[Session]:
        """Return a person's sessions, newest first, before an id."""
        async with self._database.reading() as connection:
            return await store.list_sessions(connection, subject, before, limit)

    async def wait(self, session: Session, seconds: float) -> Session:
        """Return the session once it has changed, or as it is after so many seconds; at once if it
        has ended."""
        if not session.is_open:
            return session
        async with self.changes.waiting(session.id, session.revision) as event:
            # It may have changed before anybody could wake us.
            found = await self._reread(session)
            if found.revision == session.revision and await wait_at_most(event, seconds):
                found = await self._reread(session)
        return found

    async def watch(self, session: Session) -> AsyncIterator[Session]:
        """Yield the session as it is, then after each change until it has ended."""
        yield session
        while session.is_open:
            changed = await self.wait(session, self._lifetime.total_seconds())
            if changed.revision != session.revision:
                yield changed
            session = changed

    async def wait_for_end(self, session: Session) -> Session:
        """Return the session once it has ended, which takes its lifetime at most."""
        async for each in self.watch(session):
            session = each
        return session

    def number_and_text(self, session: Session) -> tuple[str, str]:
        """Return a session's number and display text; "" for both once they are erased."""
        sealed = session.sealed
        # Under a key-encryption key that is gone: for minutes, at most.
        if sealed is None or not self._vault.knows(sealed.key_id):
            return "", ""
        return _split(self._vault.unseal(sealed, record=session.name))

    async def _find_requested(self, request_key: str | None) -> Session | None:
        if request_key is None:
            return None
        async with self._database.reading() as connection:
            return await store.find_requested(connection, request_key)

    async def _reread(self, session: Session) -> Session:
        return await self.find(session.id) or session

    async def _list_revisions(self, ids: Collection[str]) -> Mapping[str, int]:
        async with self._database.reading() as connection:
            return await store.list_revisions(connection, ids)

    # Ending

    async def end(self, session_id: str, end: End) -> bool:
        """End a session; return whether it was open."""

        async def work(connection: AsyncConnection) -> bool:
            return await store.end_session(connection, session_id, end, self._clock())

        was_open = await self._database.run(work)
        self.changes.announce([session_id])
        return was_open

    async def expire(self) -> None:
        """End the sessions whose time is over."""

        async def work(connection: AsyncConnection) -> list[str]:
            now = self._clock()
            return [
                session_id
                for session_id, end in await store.list_expired(connection, now, EXPIRED_AT_ONCE)
                if await store.end_session(connection, session_id, end, now)
            ]

        async with self._database.reading() as connection:
            if not await store.list_expired(connection, self._clock(), 1):
                return
        self.changes.announce(await self._database.run(work))

    async def erase(self) -> None:
        """Erase digest, text, number and signature of sessions that ended long enough ago."""

        async def work(connection: AsyncConnection) -> int:
            return await store.erase(connection, self._clock() - KEPT_AFTER_END)

        await self._database.run(work)


def confirmation_of(
    phone: SignerPhone, subject: str, requester: str, text: str, request_key: str | None = None
) -> Wanted:
    """Return the session in which a pending phone's SIM signs its challenge."""
    purpose = MobileSignaturePurpose.CONFIRM_PHONE
    return Wanted(
        subject=subject,
        requester=requester,
        purpose=purpose,
        digest=digest_of(phone.challenge, purpose),
        display_text=text,
        phone=phone,
        # Until it is done, nobody knows whose phone it is.
        is_own=False,
        request_key=request_key,
    )


def _is_same_confirmation(session: Session, wanted: Wanted) -> bool:
    """Return whether an open session has the same phone sign the same challenge."""
    return (
        wanted.purpose is session.purpose is MobileSignaturePurpose.CONFIRM_PHONE
        and session.digest == wanted.digest
    )


def _end_by(wanted: Wanted, session: Session, now: datetime) -> End:
    """Return how an open session ends when another is wanted. Raises FailedPrecondition if it does
    not."""
    if now >= session.expire_time:
        return expiry_of(session.state)
    if wanted.is_own and not session.is_own:
        return SUPERSEDED
    raise _open_already()


def _same(known: Session, wanted: Wanted) -> Session:
    """Return the session of the same request. Raises AlreadyExists for another's."""
    is_other_digest = known.digest not in (b"", wanted.digest)
    if known.subject != wanted.subject or known.purpose is not wanted.purpose or is_other_digest:
        raise AlreadyExists("the request_id was used for another request", "request_id")
    return known


def _open_already() -> FailedPrecondition:
    return FailedPrecondition("SESSION_OPEN", "another session is open with the person's phone")


def _split(content: bytes) -> tuple[str, str]:
    number, _, text = content.decode().partition("\n")
    return number, text


def _nobody() -> None:
    """Send nothing: this platform has no mobile network."""
