"""What happened to certificates, memberships and phones, as the transparency log is to tell it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum

from services.runtime.errors import FailedPrecondition

SALT_BYTES = 32
# The reader whose log makes the events public.
REGISTRY = "registry"
# The oldest event that the log does not have: an alert after the first time, and after the second
# nothing is issued that nobody could see.
ALERT_AFTER = timedelta(minutes=5)
STOP_AFTER = timedelta(hours=1)


class IdentityEventKind(IntEnum):
    """What happened; IdentityEventKind of the contract."""

    CERTIFIED = 1
    CERTIFICATE_REGISTERED = 2
    CERTIFICATE_REVOKED = 3
    MEMBERSHIP_ADDED = 4
    MEMBERSHIP_REMOVED = 5
    PHONE_ACTIVATED = 6
    PHONE_ENDED = 7


class IdentityEventBasis(IntEnum):
    """How many people an act took; IdentityEventBasis of the contract."""

    RENEWAL = 1
    ALONE = 2
    APPROVED = 3
    INIT = 4


@dataclass(frozen=True, slots=True)
class Happening:
    """What happened, without its number and its salts."""

    kind: IdentityEventKind
    basis: IdentityEventBasis
    # The certificate's or the phone's holder or the membership's person; "services/{service}" for a
    # credential of the platform's own services.
    subject: str
    # The one that the certificate or the membership names, or "".
    organization: str = ""
    # SHA-256 of the certificate's DER, of a phone's SIM's; empty for a membership.
    fingerprint: bytes = b""
    # Of a membership; 0 for a certificate and a phone.
    role: int = 0
    # Who did it: one or two; none at a renewal, at init, and where a SIM's signature for another
    # holder or the end of its certificate ended a phone.
    officers: tuple[str, ...] = ()

    @property
    def commitments(self) -> int:
        """How many of its values the log's entry commits to: the subject, the certificate if there
        is one, each officer."""
        return 1 + bool(self.fingerprint) + len(self.officers)


@dataclass(frozen=True, slots=True)
class IdentityEvent:
    """What happened, as it is kept."""

    number: int
    time: datetime
    happening: Happening
    # Of the commitments, in their order, SALT_BYTES each.
    salts: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class IdentityRecord:
    """A certificate or a membership as it is kept."""

    # Where it stands in the list of all.
    key: str
    subject: str
    organization: str
    # SHA-256 of the certificate's DER; empty for a membership.
    fingerprint: bytes
    role: int
    create_time: datetime
    end_time: datetime | None


def check_is_logged(oldest: datetime | None, now: datetime) -> None:
    """Raise FailedPrecondition if the log has lacked an event for STOP_AFTER.

    oldest: time of the oldest event that the log lacks; None if it has all, or never had any.
    """
    if oldest is not None and now - oldest >= STOP_AFTER:
        raise FailedPrecondition(
            "LOG_BEHIND", "the transparency log has not taken what happened for an hour"
        )
