"""Time-stamps over a signature (RFC 3161): the proven time to check its certificate at."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum

from signatures.algorithms import Verdict


class TimeStampStatus(IntEnum):
    """Identity's finding about a time-stamp."""

    UNSPECIFIED = 0
    VALID = 1
    MALFORMED = 2
    WRONG_IMPRINT = 3
    INVALID_SIGNATURE = 4
    UNTRUSTED = 5
    UNKNOWN = 6


@dataclass(frozen=True, slots=True)
class TimeStamp:
    """A verified time-stamp; the time is set if the status is VALID."""

    status: TimeStampStatus
    time: datetime | None = None

    @property
    def verdict(self) -> Verdict:
        """The verdict of a signature that verifies, for a time-stamp that is not VALID."""
        if self.status in (TimeStampStatus.UNKNOWN, TimeStampStatus.UNSPECIFIED):
            return Verdict.INDETERMINATE
        return Verdict.INVALID_TIME_STAMP


# Takes the token and the data that it should stamp. Raises Unavailable or DeadlineExceeded.
VerifyTimeStamp = Callable[[bytes, bytes], Awaitable[TimeStamp]]
