"""Messages to phones: priorities and allowances, states, expiry, and what goes to the network."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import IntEnum

from services.messaging.privacy.letters import Letter
from services.messaging.sms.parts import split_packet, split_text
from services.runtime.errors import InvalidArgument, ResourceExhausted
from services.runtime.sealing import Sealed
from sms.parts import ShortMessage, TooLong

# The contract's: if unset, and at most.
EXPIRES_AFTER = timedelta(minutes=5)
EXPIRES_AT_MOST = timedelta(days=3)
# Allowances are for the last so long.
ALLOWANCE_PERIOD = timedelta(days=1)
# Receipts come late by days; until then a message that was sent is not over.
RECEIPTS_WITHIN = timedelta(days=3)

_PHONE = re.compile(r"\+[1-9][0-9]{7,14}")
_SOURCE = re.compile(r"[0-9]{1,15}|(?=.*[A-Za-z])[A-Za-z0-9]{1,11}")
_NAME = re.compile(r"messages/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})")


class MessagePriority(IntEnum):
    """Which messages go first, each with its own allowance."""

    SECURITY = 1
    OWN = 2
    ORGANIZATION = 3
    HELP = 4


class MessageState(IntEnum):
    """How far a message has come."""

    QUEUED = 1
    SENT = 2
    DELIVERED = 3
    UNDELIVERABLE = 4
    EXPIRED = 5


@dataclass(frozen=True, slots=True)
class NewMessage:
    """A message to be stored."""

    id: str
    service: str
    priority: MessagePriority
    phone_hash: bytes
    sealed: Sealed
    source: str
    parts: int
    create_time: datetime
    expire_time: datetime
    erase_time: datetime


@dataclass(frozen=True, slots=True)
class Message:
    """A message without its number and content."""

    id: str
    service: str
    state: MessageState
    create_time: datetime
    parts: int
    maybe_twice: bool
    send_time: datetime | None = None
    deliver_time: datetime | None = None

    @property
    def name(self) -> str:
        return f"messages/{self.id}"


@dataclass(frozen=True, slots=True)
class DuePart:
    """The next part of a message, which is now with the sender."""

    number: int
    id: str
    sealed: Sealed
    source: str
    reference: int
    # From 0.
    part: int
    expire_time: datetime


def split(letter: Letter, reference: int, *, default_is_gsm: bool) -> list[ShortMessage]:
    """Return the parts of a message as they go to the network. Raises InvalidArgument if there are
    too many."""
    try:
        if letter.is_binary:
            return split_packet(letter.content, reference)
        return split_text(letter.content.decode(), reference, default_is_gsm=default_is_gsm)
    except TooLong as error:
        raise InvalidArgument("binary" if letter.is_binary else "text", str(error)) from None


def check_phone(phone: str) -> str:
    """Return the number unchanged. Raises InvalidArgument."""
    if not _PHONE.fullmatch(phone):
        raise InvalidArgument("phone", 'not a number in E.164, "+77010000000"')
    return phone


def check_source(source: str, default: str) -> str:
    """Return the source, the platform's if unset. Raises InvalidArgument."""
    if source and not _SOURCE.fullmatch(source):
        raise InvalidArgument("source", "not 1 to 15 digits or 1 to 11 Latin letters and digits")
    return source or default


def is_source(source: str) -> bool:
    """Return whether a message may come from this short number or name."""
    return _SOURCE.fullmatch(source) is not None


def check_expiry(asked: datetime | None, now: datetime) -> datetime:
    """Return when a message expires. Raises InvalidArgument."""
    expires = asked or now + EXPIRES_AFTER
    if not now < expires <= now + EXPIRES_AT_MOST:
        raise InvalidArgument("expire_time", "not within the next three days")
    return expires


def parse_name(name: str) -> str:
    """Return the id in "messages/{id}". Raises InvalidArgument."""
    found = _NAME.fullmatch(name)
    if found is None:
        raise InvalidArgument("name", 'not of the form "messages/{message}"')
    return found[1]


def check_allowance(
    sent: list[datetime],
    priority: MessagePriority,
    allowances: Mapping[MessagePriority, int],
    now: datetime,
) -> None:
    """Raise ResourceExhausted if a number has had its allowance of this priority.

    sent: when its messages of this priority in ALLOWANCE_PERIOD were stored, oldest first.
    """
    allowed = allowances[priority]
    if len(sent) >= allowed:
        # The one that makes room by leaving the period.
        leaves = sent[len(sent) - allowed] + ALLOWANCE_PERIOD
        raise ResourceExhausted(
            f"the number has had its {allowed} messages of this priority a day",
            max((leaves - now).total_seconds(), 1.0),
        )


def validity_period(expire_time: datetime) -> str:
    """Return the time in SMPP's form, absolute in UTC (SMPP 3.4, section 7.1.1)."""
    return f"{expire_time.astimezone(UTC):%y%m%d%H%M%S}000+"
