"""Read SIMs' answers from messaging's inbox, and end the sessions that they answer.

An answer counts only for a session that waits for exactly this card, counter and nonce, in time;
the card's key must have authenticated it, and a signature must hold over the session's digest under
the card's certificate. All else changes nothing, and is acknowledged: an answer that came twice or
late, another session's counter, another card's packet, noise. An answer is acknowledged once what
it says is durable, so that a replica that ends in between leaves it to another.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from services.runtime.concurrency.worker_pool import SIGNATURES
from services.runtime.errors import DomainError, Unavailable
from services.runtime.storage.database import Database
from services.runtime.storage.outages import is_unavailable
from services.signing.exchange.clients import Inbox, Incoming, MessagingClient
from services.signing.mobile import store
from services.signing.mobile.clients import NotCompleted, PhoneClient, PhoneState
from services.signing.mobile.outcomes import (
    CERTIFICATE_NOT_GOOD,
    WRONG_SIGNATURE,
    end_by_refusal,
    end_without_signature,
)
from services.signing.mobile.rules import (
    PHONE_ENDED,
    End,
    MobileSignaturePurpose,
    MobileSignatureState,
    Session,
)
from services.signing.mobile.sessions import Sessions
from services.signing.sims.keys import SimKeys
from services.signing.verification.trust import CertificateStatus, CheckedCertificate
from signatures.algorithms import Algorithm
from signatures.x509 import is_digest_signed_by_certificate, is_digest_signed_by_key
from sms.applet import NONCE_OCTETS, Answer, MalformedData, Status, read_answer
from sms.secured_packets import (
    RESPONSE_OVERHEAD_OCTETS,
    PacketRefused,
    Response,
    ResponseStatus,
    read_response,
)

log = logging.getLogger(__name__)

ALGORITHM = Algorithm.ECDSA_P256_SHA256_P1363
# Sessions that a refusal may be of: counters are hardly ever equal.
CANDIDATES = 32
# What the applet answers to what it cannot read.
UNREAD = Answer(Status.MALFORMED, bytes(NONCE_OCTETS))
# Between attempts to read the inbox, while messaging is away.
RETRY_SECONDS = 0.5

CheckCertificates = Callable[
    [Sequence[bytes], datetime | None], Awaitable[list[CheckedCertificate]]
]


class Answers:
    """Takes SIMs' answers."""

    def __init__(
        self,
        *,
        database: Database,
        sessions: Sessions,
        sim_keys: SimKeys,
        phones: PhoneClient,
        messaging: MessagingClient,
        check_certificates: CheckCertificates,
    ) -> None:
        """check_certificates: identity's, for now if the time is None."""
        self._database = database
        self._sessions = sessions
        self._sim_keys = sim_keys
        self._phones = phones
        self._messaging = messaging
        self._check_certificates = check_certificates

    async def read(self) -> None:
        """Take answers until messaging ends the stream. Raises Unavailable then."""
        inbox = self._messaging.open_inbox()
        async with asyncio.TaskGroup() as taking:
            # As many at once as messaging leases to one reader.
            async for incoming in inbox.read():
                taking.create_task(self._take_and_acknowledge(inbox, incoming))

    async def _take_and_acknowledge(self, inbox: Inbox, incoming: Incoming) -> None:
        try:
            await self.take(incoming)
        except Exception as error:
            log.warning("an answer was not taken", extra={"exception": type(error).__name__})
            if isinstance(error, DomainError) or is_unavailable(error):
                # Its lease ends, and it comes again.
                return
        inbox.acknowledge(incoming.id)

    async def take(self, incoming: Incoming) -> None:
        """End the session that an answer is of, if there is one. Raises Unavailable or
        DeadlineExceeded if it must be taken again later."""
        found = await self._find(incoming)
        if found is None:
            return
        session, response, answer = found
        if answer is None:
            end = end_by_refusal(response.status)
        elif answer.status is Status.SIGNED:
            end = await self._end_signed(session, answer, incoming.receive_time)
        else:
            end = end_without_signature(answer.status)
        if end is not None:
            await self._sessions.end(session.id, end)

    async def _find(self, incoming: Incoming) -> tuple[Session, Response, Answer | None] | None:
        """Return the open session that an authentic packet answers, and the applet's answer, None
        for a refusal of the card's."""
        packet = incoming.packet
        if len(packet) < RESPONSE_OVERHEAD_OCTETS:
            return None
        async with self._database.reading() as connection:
            candidates = await self._candidates(connection, packet)
            keys = {each.sim: await self._sim_keys.get(connection, each.sim) for each in candidates}
        for session in candidates:
            number, _ = self._sessions.number_and_text(session)
            is_foreign = number != incoming.phone
            if is_foreign or incoming.receive_time >= session.expire_time:
                continue
            response = _authentic(packet, keys[session.sim])
            if response is None or response.counter != session.counter:
                continue
            answer = _answer_in(response.data)
            if answer is None and response.status is ResponseStatus.OK:
                continue
            # Who could not read the request does not know its nonce.
            if answer is not None and answer.nonce != session.nonce and answer != UNREAD:
                continue
            return session, response, answer
        return None

    @staticmethod
    async def _candidates(connection: AsyncConnection, packet: bytes) -> list[Session]:
        """Return open sessions that a packet may answer, by what it says itself: the nonce, which
        is the one session's, or else the counter, which few have."""
        answer = _answer_in(packet[RESPONSE_OVERHEAD_OCTETS:])
        if answer is not None and answer != UNREAD:
            session = await store.find_by_nonce(connection, answer.nonce)
            return [session] if session is not None else []
        return await store.find_by_counter(connection, _counter_of(packet), CANDIDATES)

    async def _end_signed(self, session: Session, answer: Answer, now: datetime) -> End:
        if session.purpose is MobileSignaturePurpose.CONFIRM_PHONE:
            return await self._end_confirmed(session, answer)
        found = await self._phones.get(session.phone)
        if found is None or found[0] is not PhoneState.ACTIVE:
            return PHONE_ENDED
        certificate = await self._phones.get_certificate(found[1].certificate)
        if not await SIGNATURES.run(
            is_digest_signed_by_certificate,
            certificate,
            int(ALGORITHM),
            session.digest,
            answer.signature,
        ):
            return WRONG_SIGNATURE
        (checked,) = await self._check_certificates([certificate], None)
        if checked.status is CertificateStatus.UNKNOWN:
            raise _undecided()
        if checked.status is not CertificateStatus.GOOD or checked.subject != session.subject:
            return CERTIFICATE_NOT_GOOD
        if found[1].is_worth_reporting(now):
            await self._phones.report_seen(session.phone)
        return _signed(answer, certificate)

    async def _end_confirmed(self, session: Session, answer: Answer) -> End:
        """Bind the phone whose challenge was signed; identity decides anew."""
        phone = await self._phones.get(session.phone)
        if phone is None or not await SIGNATURES.run(
            is_digest_signed_by_key,
            phone[1].public_key,
            int(ALGORITHM),
            session.digest,
            answer.signature,
        ):
            return WRONG_SIGNATURE
        try:
            name = await self._phones.complete(session.phone, answer.signature)
        except NotCompleted as refused:
            log.info("a phone was not bound", extra={"reason": refused.reason})
            is_ended = refused.reason == "NOT_PENDING"
            return PHONE_ENDED if is_ended else CERTIFICATE_NOT_GOOD
        return _signed(answer, await self._phones.get_certificate(name))


def _signed(answer: Answer, certificate: bytes) -> End:
    return End(MobileSignatureState.SIGNED, signature=answer.signature, certificate=certificate)


def _undecided() -> Unavailable:
    return Unavailable("identity could not check the certificate")


def _authentic(packet: bytes, key: bytes | None) -> Response | None:
    """Return the packet's content if the card's key authenticates it."""
    if key is None:
        return None
    try:
        return read_response(packet, key)
    except PacketRefused:
        return None


def _counter_of(packet: bytes) -> int:
    """Return the counter that a packet claims to answer."""
    return int.from_bytes(packet[6:11], "big")


def _answer_in(data: bytes) -> Answer | None:
    """Return the applet's answer in a packet's data, None if there is none."""
    try:
        return read_answer(data)
    except MalformedData:
        return None
