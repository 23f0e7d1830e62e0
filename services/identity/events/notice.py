"""What happened to phones, as signing is to act on it and to tell it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum


class PhoneNoticeKind(IntEnum):
    """What happened to a phone; PhoneNoticeKind of the contract."""

    ASKED = 1
    PENDING = 2
    ACTIVE = 3
    UNBOUND = 4
    SWAPPED = 5
    REBOUND = 6
    REVOKED = 7


@dataclass(frozen=True, slots=True)
class Recipient:
    """A phone that is told, and in which language."""

    phone: str
    language: str


@dataclass(frozen=True, slots=True)
class PhoneNotice:
    """What happened to a phone, and the holder's other phones, which are told."""

    kind: PhoneNoticeKind
    # "subjects/{subject}/phones/{phone}".
    phone: str
    recipients: tuple[Recipient, ...]


@dataclass(frozen=True, slots=True)
class NumberedNotice:
    """A notice as it waits in the queue."""

    number: int
    time: datetime
    notice: PhoneNotice
