"""Mobile signatures: sessions and their states, who may do what, limits, the verification code."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum

from qagazsyz.signed_texts import PREFIX
from services.runtime.access import Caller, Role
from services.runtime.clock import Randomness
from services.runtime.errors import InvalidArgument, PermissionDenied, ResourceExhausted
from services.runtime.sealing import Sealed
from sms.applet import NONCE_OCTETS, verification_code

# How the platform's own texts begin, which no caller may have signed.
PLATFORM_PREFIX = PREFIX.encode()
# The contract's: of what is signed, and of a wait.
MESSAGE_LIMIT_BYTES = 64 * 1024
WAIT_LIMIT_SECONDS = 60.0
# Digest, text and signature are erased so long after the end.
KEPT_AFTER_END = timedelta(minutes=5)
# After the first refusal in a row, the second, and every further one (push bombing).
WAITS_AFTER_REFUSALS = (timedelta(minutes=10), timedelta(minutes=60), timedelta(minutes=600))
DAY = timedelta(days=1)
# Sessions of one organization with one person, and confirmations of phones with one card, whoever
# asks for them.
FOREIGN_A_DAY = 10
# A person's own: whoever stole their token must not drive them to say yes at last.
OWN_A_DAY = 100
# A code is unlike the last ones that the phone showed.
CODES_APART = 10
_NAME = re.compile(r"mobileSignatures/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})")


class MobileSignaturePurpose(IntEnum):
    """What a signature is for."""

    SIGN = 1
    AUTHENTICATE = 2
    CONFIRM = 3
    CONFIRM_PHONE = 4
    CONSENT = 5


class MobileSignatureState(IntEnum):
    """How far a session has come."""

    WAITING = 1
    DELIVERED = 2
    SIGNED = 3
    FAILED = 4
    EXPIRED = 5
    CANCELLED = 6


class MobileSignatureOutcome(IntEnum):
    """Why there is no signature."""

    UNSPECIFIED = 0
    USER_CANCELLED = 1
    PIN_BLOCKED = 2
    CARD_BLOCKED = 3
    NO_KEY = 4
    CERTIFICATE_NOT_GOOD = 5
    PHONE_ABSENT = 6
    DELIVERY_FAILED = 7
    SIM_FAILED = 8
    WRONG_SIGNATURE = 9
    POSTPONED = 10
    PHONE_ENDED = 11
    BUSY = 12
    NOT_SHOWN = 13


OPEN = (MobileSignatureState.WAITING, MobileSignatureState.DELIVERED)


@dataclass(frozen=True, slots=True, repr=False)
class SignerPhone:
    """A phone that is asked, as identity has it."""

    # "subjects/{subject}/phones/{phone}".
    name: str
    # E.164.
    number: str
    # Identity's id of the card.
    sim: str
    # SubjectPublicKeyInfo, DER.
    public_key: bytes
    language: str
    # Name of the certificate; empty while the phone is pending.
    certificate: str = ""
    # While it is pending or unseen.
    challenge: bytes = b""
    # When its SIM last signed, to the day; None if identity does not say.
    seen_time: datetime | None = None

    def is_worth_reporting(self, now: datetime) -> bool:
        """Return whether identity is to hear that the SIM signed now."""
        return self.seen_time is None or now >= self.seen_time + DAY


@dataclass(frozen=True, slots=True, repr=False)
class Wanted:
    """A session that is asked for."""

    subject: str
    # "" where the platform asks by itself.
    requester: str
    purpose: MobileSignaturePurpose
    # SHA-256 of the message.
    digest: bytes
    # As it is to stand on the screen.
    display_text: str
    # None where there is none, or not this one: the session is as any other, and expires.
    phone: SignerPhone | None
    # Whether the person began it, or the platform for them: it ends a foreign one.
    is_own: bool
    # Scope and request_id; None if it has none.
    request_key: str | None = None
    # Before the end of every session's time, where what is signed is of no use after it.
    expire_time: datetime | None = None


@dataclass(frozen=True, slots=True, repr=False)
class Session:
    """A session; the row of the database."""

    id: str
    subject: str
    requester: str
    purpose: MobileSignaturePurpose
    state: MobileSignatureState
    outcome: MobileSignatureOutcome
    revision: int
    code: str
    nonce: bytes
    # Empty, and the counter 0, where there is no phone.
    phone: str
    sim: str
    counter: int
    # Empty once erased.
    digest: bytes
    signature: bytes
    # X.509, DER.
    certificate: bytes
    # Messaging's name of the request.
    message: str
    create_time: datetime
    expire_time: datetime
    end_time: datetime | None = None
    # Number and display text; None once erased.
    sealed: Sealed | None = None

    @property
    def name(self) -> str:
        return f"mobileSignatures/{self.id}"

    @property
    def is_open(self) -> bool:
        return self.state in OPEN

    @property
    def is_own(self) -> bool:
        """Whether the person began it, or the platform for them. Not so a phone's confirmation:
        until it is done, nobody knows whose phone it is."""
        is_confirmation = self.purpose is MobileSignaturePurpose.CONFIRM_PHONE
        return self.requester == self.subject and not is_confirmation


@dataclass(frozen=True, slots=True)
class End:
    """How a session ends."""

    state: MobileSignatureState
    outcome: MobileSignatureOutcome = MobileSignatureOutcome.UNSPECIFIED
    signature: bytes = b""
    certificate: bytes = b""


@dataclass(frozen=True, slots=True)
class Past:
    """An earlier session of one requester with one person, or of one card's confirmation, as the
    limits see it."""

    create_time: datetime
    end_time: datetime | None
    state: MobileSignatureState
    outcome: MobileSignatureOutcome


CANCELLED_BY_REQUESTER = End(MobileSignatureState.CANCELLED)
CANCELLED_BY_SUBJECT = End(MobileSignatureState.CANCELLED, MobileSignatureOutcome.USER_CANCELLED)
# The person began a session of their own.
SUPERSEDED = End(MobileSignatureState.CANCELLED, MobileSignatureOutcome.BUSY)
PHONE_ENDED = End(MobileSignatureState.FAILED, MobileSignatureOutcome.PHONE_ENDED)


def expiry_of(state: MobileSignatureState) -> End:
    """Return how an open session ends when its time is over: a phone that never had the request
    was absent."""
    if state is MobileSignatureState.WAITING:
        return End(MobileSignatureState.EXPIRED, MobileSignatureOutcome.PHONE_ABSENT)
    return End(MobileSignatureState.EXPIRED)


def parse_name(name: str) -> str:
    """Return the id in "mobileSignatures/{id}". Raises InvalidArgument."""
    match = _NAME.fullmatch(name)
    if match is None:
        raise InvalidArgument("name", 'not of the form "mobileSignatures/{mobile_signature}"')
    return match[1]


def check_message(message: bytes, purpose: MobileSignaturePurpose) -> None:
    """Raise InvalidArgument for a document that begins like the platform's own texts, or a text of
    the platform's own that does not."""
    if len(message) > MESSAGE_LIMIT_BYTES:
        raise InvalidArgument("message", f"more than {MESSAGE_LIMIT_BYTES:,} bytes")
    is_platforms = message.startswith(PLATFORM_PREFIX)
    if purpose is MobileSignaturePurpose.SIGN and is_platforms:
        raise InvalidArgument("message", "begins like the platform's own texts")
    if purpose is not MobileSignaturePurpose.SIGN and not is_platforms:
        raise InvalidArgument("message", "not a text of the platform's own, as the purpose asks")


# Who may do what


def requester_of(caller: Caller, subject: str) -> str:
    """Return for whom a session is: an officer's organization, or the person. Raises
    PermissionDenied if the caller may not ask the person's phone."""
    if caller.is_service:
        return subject
    if caller.has(Role.ROLE_OFFICER) and caller.organization not in ("", subject):
        return caller.organization
    if caller.has(Role.ROLE_CITIZEN) and caller.subject == subject:
        return subject
    raise PermissionDenied()


def check_purpose(caller: Caller, purpose: MobileSignaturePurpose) -> None:
    """Raise PermissionDenied for a purpose that is not the caller's. Consents are services'; all
    other texts of the platform's own are nobody's: signing makes them itself (ConfirmPhone,
    PhoneSignInService, PhoneConfirmationService), so that no service signs in as a person either.
    """
    if purpose is MobileSignaturePurpose.SIGN:
        return
    if purpose is not MobileSignaturePurpose.CONSENT or not caller.is_service:
        raise PermissionDenied()


def is_subject(caller: Caller, session: Session) -> bool:
    """Return whether the caller is the person whose phone is asked."""
    return caller.has(Role.ROLE_CITIZEN) and caller.subject == session.subject


def check_may_read(caller: Caller, session: Session | None) -> Session:
    """Return the session if it is the caller's to read and to cancel. Raises PermissionDenied,
    alike for one that does not exist."""
    if session is not None:
        is_requester = session.requester != "" and session.requester == (
            caller.organization if caller.has(Role.ROLE_OFFICER) else caller.subject
        )
        if caller.is_service or is_subject(caller, session) or is_requester:
            return session
    raise PermissionDenied()


# Limits


def check_limits(past: Sequence[Past], *, is_own: bool, now: datetime) -> None:
    """Raise ResourceExhausted if the person's phone may not be asked now.

    past: the last OWN_A_DAY earlier sessions, newest first.
    """
    limit = OWN_A_DAY if is_own else FOREIGN_A_DAY
    today = [each.create_time for each in past if each.create_time > now - DAY]
    if len(today) >= limit:
        wait = today[limit - 1] + DAY - now
        raise ResourceExhausted("the person was asked too often today", wait.total_seconds())
    if is_own:
        return
    refusals = 0
    for each in past:
        if each.state is MobileSignatureState.SIGNED:
            break
        refusals += each.outcome is MobileSignatureOutcome.USER_CANCELLED
    if refusals:
        wait = WAITS_AFTER_REFUSALS[min(refusals, len(WAITS_AFTER_REFUSALS)) - 1]
        last = next(
            each.end_time or each.create_time
            for each in past
            if each.outcome is MobileSignatureOutcome.USER_CANCELLED
        )
        if now < last + wait:
            raise ResourceExhausted(
                "the person refused: ask again later", (last + wait - now).total_seconds()
            )


def choose_nonce(digest: bytes, recent: Collection[str], randomness: Randomness) -> bytes:
    """Return a nonce whose verification code is unlike the recent ones."""
    while True:
        nonce = randomness(NONCE_OCTETS)
        if verification_code(digest, nonce) not in recent:
            return nonce
