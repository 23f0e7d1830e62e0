"""Rules of phones: their states, their challenges, and who may read and end them.

Who may bind one, and how many people that takes, are the rules of certificates
(certificates/dual_control.py).
"""

from __future__ import annotations

import base64
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum

from qagazsyz.signed_texts import PHONE
from services.identity.x509.inspection import has_expired
from services.runtime.access import Caller, Role
from services.runtime.clock import Randomness
from services.runtime.errors import FailedPrecondition, InvalidArgument, PermissionDenied

# How long a binding waits, for a second person and for its SIM together.
LAPSES_AFTER = timedelta(days=1)
# Phones of one person, pending ones included: all of them are listed and told at once.
PHONES_LIMIT = 10
# A SIM's signature is noted if the last one noted is so long ago: one write a phone and day.
SEEN_STEP = timedelta(days=1)
LANGUAGES = ("kk", "ru", "en")
NONCE_BYTES = 24


class PhoneState(IntEnum):
    """Whether a phone is bound; PhoneState of the contract."""

    PENDING_APPROVAL = 1
    PENDING = 2
    ACTIVE = 3
    ENDED = 4
    UNSEEN = 5


@dataclass(frozen=True, slots=True)
class Sim:
    """A number's card, as the mobile network's list has it; the row of the database."""

    id: str
    number_hash: str
    card_hash: str
    # SubjectPublicKeyInfo, DER.
    public_key: bytes
    create_time: datetime

    def is_other_than(self, listed: ListedSim) -> bool:
        """Return whether a list has another card or key for the number, or the card behind another
        number."""
        same = (self.number_hash, self.card_hash, self.public_key)
        return same != (listed.number_hash, listed.card_hash, listed.public_key)


@dataclass(frozen=True, slots=True)
class ListedSim:
    """A number's card, as a list has it."""

    number_hash: str
    card_hash: str
    public_key: bytes


@dataclass(frozen=True, slots=True)
class Phone:
    """A person's phone; the row of the database, with what its certificate's says."""

    # UUIDv7: in the order of creation.
    id: str
    subject: str
    number_hash: str
    # Sealed. Both are empty once they are erased.
    number: bytes
    # The card that it was asked for with, and its key.
    sim: str
    public_key: bytes
    language: str
    state: PhoneState
    # Who asked, in which role, with which certificate; who approved that, with which.
    proposer: str
    proposer_role: int
    proposer_certificate: str
    create_time: datetime
    approver: str = ""
    approver_certificate: str = ""
    # Empty while it waits for a second person.
    challenge: bytes = b""
    # Fingerprint; empty if it never was active.
    certificate: str = ""
    # When its SIM signed, up to SEEN_STEP late; None until it was bound.
    seen_time: datetime | None = None
    end_time: datetime | None = None
    # Of the certificate.
    revoke_time: datetime | None = None
    not_after: datetime | None = None

    @property
    def name(self) -> str:
        return f"{self.subject}/phones/{self.id}"

    @property
    def sim_name(self) -> str:
        return f"sims/{self.sim}"

    @property
    def asker(self) -> Caller:
        """Who asked, in the one role that it was asked in."""
        return Caller(
            subject=self.proposer,
            organization="",
            roles=frozenset({self.proposer_role}),
            certificate=self.proposer_certificate,
        )

    def state_at(self, now: datetime) -> PhoneState:
        """Return its state at a time: what waited for LAPSES_AFTER has ended, and what is bound
        ends with its certificate."""
        if self.state in (PhoneState.ACTIVE, PhoneState.UNSEEN):
            is_revoked = self.revoke_time is not None and self.revoke_time <= now
            is_expired = self.not_after is None or has_expired(self.not_after, now)
            return PhoneState.ENDED if is_revoked or is_expired else self.state
        if self.state is not PhoneState.ENDED and now >= self.create_time + LAPSES_AFTER:
            return PhoneState.ENDED
        return self.state


def new_challenge(phone: Phone, *, platform: str, randomness: Randomness) -> bytes:
    """Return a challenge for the phone's card that none was before."""
    return make_challenge(
        platform=platform,
        subject=phone.subject,
        phone=phone.name,
        sim=phone.sim_name,
        randomness=randomness,
    )


def make_challenge(
    *, platform: str, subject: str, phone: str, sim: str, randomness: Randomness
) -> bytes:
    """Return the text that a SIM signs to show its key: for this person, phone and card alone."""
    nonce = base64.urlsafe_b64encode(randomness(NONCE_BYTES)).decode()
    return "".join(f"{line}\n" for line in (PHONE, platform, subject, phone, sim, nonce)).encode()


def match_phone(phones: Iterable[Phone], holder: str | None, now: datetime) -> Phone | None:
    """Return the phone of a number that is its holder's at a time; None if there is none, or no
    such holder."""
    return next(
        (
            phone
            for phone in phones
            if phone.subject == holder and phone.state_at(now) is PhoneState.ACTIVE
        ),
        None,
    )


def check_language(language: str) -> str:
    """Return the language, the first one for "". Raises InvalidArgument."""
    if language and language not in LANGUAGES:
        raise InvalidArgument("language", 'not "kk", "ru" or "en"')
    return language or LANGUAGES[0]


def not_pending(why: str) -> FailedPrecondition:
    """Return the refusal of a binding that is not, or no longer, in the state for it."""
    return FailedPrecondition("NOT_PENDING", why)


# Who may do what


def is_holder(caller: Caller, subject: str) -> bool:
    """Return whether the caller is the person, as a citizen."""
    return caller.has(Role.ROLE_CITIZEN) and caller.subject == subject


def sees_number(caller: Caller, subject: str) -> bool:
    """Return whether the caller reads a person's numbers in full."""
    return caller.is_service or is_holder(caller, subject)


def check_may_read(caller: Caller, subject: str) -> None:
    """Raise PermissionDenied unless the caller may read the person's phones."""
    if not (caller.is_service or caller.has(Role.ROLE_REGISTRAR) or is_holder(caller, subject)):
        raise PermissionDenied()


def check_may_unbind(caller: Caller, phone: Phone | None) -> Phone:
    """Return the phone if the caller may end it. Raises PermissionDenied, alike for one that does
    not exist."""
    if phone is not None and (caller.has(Role.ROLE_REGISTRAR) or is_holder(caller, phone.subject)):
        return phone
    raise PermissionDenied()


def check_may_report(caller: Caller, reporters: Collection[str]) -> None:
    """Raise PermissionDenied unless the caller is an operator, or an information system of one of
    these organizations: an employee reports through it."""
    if caller.has(Role.ROLE_OPERATOR):
        return
    is_system = caller.has(Role.ROLE_OFFICER) and caller.subject == caller.organization
    if not (is_system and caller.organization in reporters):
        raise PermissionDenied()
