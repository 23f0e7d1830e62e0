"""Time, randomness, and the ids made of both: passed as parameters, so that tests control them."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable
from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp

Clock = Callable[[], datetime]
Randomness = Callable[[int], bytes]


def system_clock() -> datetime:
    """Return the time now, in UTC."""
    return datetime.now(UTC)


def system_randomness(size: int) -> bytes:
    """Return random bytes of the operating system's generator."""
    return os.urandom(size)


def uuid7(now: datetime, randomness: Randomness = system_randomness) -> uuid.UUID:
    """Return a UUID version 7, which sorts by its time in milliseconds (RFC 9562, section 5.7)."""
    milliseconds = int(now.timestamp() * 1000)
    rest = int.from_bytes(randomness(10), "big")
    value = (milliseconds & ((1 << 48) - 1)) << 80 | rest & ((1 << 80) - 1)
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return uuid.UUID(int=value)


def to_timestamp(moment: datetime | None) -> Timestamp | None:
    """The protobuf Timestamp of a time, or None, which leaves a field unset."""
    if moment is None:
        return None
    stamp = Timestamp()
    stamp.FromDatetime(moment.astimezone(UTC))
    return stamp


def from_timestamp(stamp: Timestamp) -> datetime:
    """The time of a Timestamp, in UTC to the microsecond. Raises ValueError out of its range."""
    return stamp.ToDatetime(tzinfo=UTC)
