"""A time-stamp over a signature: the time at which its signer's certificate is judged."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto


class StampStatus(Enum):
    """What a time-stamp is worth."""

    VALID = auto()
    # Malformed, over something else, or by no authority that is trusted.
    INVALID = auto()
    # Could not be found out now.
    UNKNOWN = auto()


@dataclass(frozen=True, slots=True)
class Stamp:
    """A verified time-stamp; the time is set where it is VALID."""

    status: StampStatus
    time: datetime | None = None


# The token and what it should be over; raises Unavailable or DeadlineExceeded.
VerifyTimeStamp = Callable[[bytes, bytes], Awaitable[Stamp]]
