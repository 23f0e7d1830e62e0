"""Sign-ins by phone: their secret names, their limits, and what of them is told."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from services.runtime.clock import Randomness
from services.runtime.errors import FailedPrecondition, InvalidArgument, ResourceExhausted

# The contract's: of a name.
SECRET_BYTES = 16
# How often a number may be asked to sign in, whoever asks and with whatever IIN: more would drive a
# person to say yes at last, or try IINs.
WINDOWS = ((3, timedelta(minutes=10)), (10, timedelta(days=1)))
REMEMBERED = max(window for _, window in WINDOWS)
# What is left of a challenge's time when its sign-in ends, to exchange a signature that came last.
EXCHANGE_MARGIN = timedelta(seconds=10)
# A wait ends so long before the call's deadline.
DEADLINE_MARGIN_SECONDS = 2.0
# A confirmation's challenge is needed while its signature is kept.
CHALLENGE_KEPT = timedelta(minutes=10)
_NAME = re.compile(r"phoneSignIns/([A-Za-z0-9_-]{22})")


@dataclass(frozen=True, slots=True, repr=False)
class PhoneSignIn:
    """A sign-in, with a phone or without: the row of the database."""

    # SHA-256 of the secret in its name, in hex.
    id: str
    # Keyed hash of the number, as identity gives it.
    number_key: str
    # Id of the mobile signature's session; empty where none was started.
    session: str
    # The verification code.
    code: str
    create_time: datetime
    expire_time: datetime


def new_secret(randomness: Randomness) -> str:
    """Return the secret of a sign-in's name, 22 characters of base64url."""
    return base64.urlsafe_b64encode(randomness(SECRET_BYTES)).decode().rstrip("=")


def name_of(secret: str) -> str:
    """Return a sign-in's name."""
    return f"phoneSignIns/{secret}"


def id_of(secret: str) -> str:
    """Return the id under which the sign-in of a secret is stored: whoever reads the database
    cannot ask for its token."""
    return hashlib.sha256(secret.encode()).hexdigest()


def parse_name(name: str) -> str:
    """Return the secret in "phoneSignIns/{secret}". Raises InvalidArgument."""
    match = _NAME.fullmatch(name)
    if match is None:
        raise InvalidArgument("name", 'not of the form "phoneSignIns/{secret}"')
    return match[1]


def check_limits(earlier: Sequence[PhoneSignIn], now: datetime) -> None:
    """Raise ResourceExhausted if a number may not be asked now.

    earlier: its sign-ins of the last day, newest first. Nothing here depends on whether the number
    has a phone.
    """
    for limit, window in WINDOWS:
        recent = [each.create_time for each in earlier if each.create_time > now - window]
        if len(recent) >= limit:
            raise _too_often(recent[limit - 1] + window - now)


def waits(until: datetime, now: datetime) -> ResourceExhausted:
    """Return the refusal of a number whose sign-in waits until a time."""
    return _too_often(until - now)


def check_network(has_network: bool) -> None:
    """Raise FailedPrecondition on a platform that runs no messaging."""
    if not has_network:
        raise FailedPrecondition("NO_MOBILE_NETWORK", "this platform sends no short messages")


def shorten(seconds: float, remaining: float | None) -> float:
    """Return for how long a call with so many seconds left may wait: its answer has to arrive."""
    if remaining is None:
        return seconds
    return max(min(seconds, remaining - DEADLINE_MARGIN_SECONDS), 0.0)


def _too_often(wait: timedelta) -> ResourceExhausted:
    seconds = max(wait.total_seconds(), 1.0)
    return ResourceExhausted("the number was asked to sign in too often", seconds)
