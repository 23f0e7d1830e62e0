"""Read and write the PDUs of SMPP 3.4 that an SMSC needs.

Own code, because a simulator must be able to break the protocol's customs on demand, which a
library prevents, and because two independent implementations test each other: the platform's side
is a library's.
"""

from __future__ import annotations

import asyncio
import re
import struct
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import IntEnum

# message_payload has up to 64 KiB, which no short message fills; a longer PDU is an attack.
PDU_LIMIT_OCTETS = 4096
_HEADER = struct.Struct(">IIII")
_RESPONSE = 0x80000000
# Octets of short_message (SMPP 3.4, section 4.4.1).
SHORT_MESSAGE_LIMIT = 254


class CommandId(IntEnum):
    """SMPP 3.4, section 5.1.2.1; an answer has the highest bit set."""

    BIND_RECEIVER = 0x01
    BIND_TRANSMITTER = 0x02
    SUBMIT_SM = 0x04
    DELIVER_SM = 0x05
    UNBIND = 0x06
    BIND_TRANSCEIVER = 0x09
    ENQUIRE_LINK = 0x15


GENERIC_NACK = 0x80000000


class CommandStatus(IntEnum):
    """SMPP 3.4, section 5.1.3."""

    OK = 0x00
    INVALID_COMMAND_LENGTH = 0x02
    INVALID_COMMAND_ID = 0x03
    INCORRECT_BIND_STATUS = 0x04
    ALREADY_BOUND = 0x05
    SYSTEM_ERROR = 0x08
    INVALID_DESTINATION = 0x0B
    BIND_FAILED = 0x0D
    INVALID_PASSWORD = 0x0E
    QUEUE_FULL = 0x14
    THROTTLED = 0x58
    INVALID_EXPIRY = 0x62


# Optional parameters (section 5.3.2).
RECEIPTED_MESSAGE_ID = 0x001E
MESSAGE_PAYLOAD = 0x0424
MESSAGE_STATE = 0x0427

# esm_class (section 5.2.12).
HAS_USER_DATA_HEADER = 0x40
IS_RECEIPT = 0x04


class MalformedPdu(ValueError):
    """Octets that are no PDU, or a body that is not of its command's form."""


@dataclass(frozen=True, slots=True)
class Pdu:
    """One protocol data unit: header and body."""

    command: int
    status: int
    sequence: int
    body: bytes = b""

    def encode(self) -> bytes:
        size = _HEADER.size + len(self.body)
        return _HEADER.pack(size, self.command, self.status, self.sequence) + self.body

    def answer(self, status: int = CommandStatus.OK, body: bytes = b"") -> Pdu:
        """Return the answer to this request. An error has no body (section 4.4.2)."""
        return Pdu(self.command | _RESPONSE, status, self.sequence, body)

    @property
    def is_answer(self) -> bool:
        return bool(self.command & _RESPONSE)


@dataclass(frozen=True, slots=True)
class Bind:
    """Body of the three binds (section 4.1.1)."""

    system_id: str
    password: str


@dataclass(frozen=True, slots=True)
class Address:
    """Type of number, numbering plan, digits or name."""

    ton: int
    npi: int
    address: str


@dataclass(frozen=True, slots=True)
class MessageBody:
    """Body of submit_sm and deliver_sm (sections 4.4.1 and 4.6.1)."""

    source: Address
    destination: Address
    esm_class: int
    protocol_id: int
    data_coding: int
    short_message: bytes
    validity_period: str = ""
    registered_delivery: int = 0
    optional: dict[int, bytes] = field(default_factory=dict)

    @property
    def user_data(self) -> bytes:
        """The message: short_message, or message_payload where that is empty."""
        return self.short_message or self.optional.get(MESSAGE_PAYLOAD, b"")

    def encode(self) -> bytes:
        return b"".join(
            (
                _c_string(""),
                _address(self.source),
                _address(self.destination),
                bytes([self.esm_class, self.protocol_id, 0]),
                _c_string(""),
                _c_string(self.validity_period),
                bytes([self.registered_delivery, 0, self.data_coding, 0]),
                bytes([len(self.short_message)]),
                self.short_message,
                *(
                    struct.pack(">HH", tag, len(value)) + value
                    for tag, value in self.optional.items()
                ),
            )
        )


async def read_pdu(reader: asyncio.StreamReader) -> Pdu:
    """Read one PDU. Raises MalformedPdu, and asyncio.IncompleteReadError at the end."""
    head = await reader.readexactly(_HEADER.size)
    size, command, status, sequence = _HEADER.unpack(head)
    if not _HEADER.size <= size <= PDU_LIMIT_OCTETS:
        raise MalformedPdu("a length out of bounds")
    return Pdu(command, status, sequence, await reader.readexactly(size - _HEADER.size))


def parse_bind(body: bytes) -> Bind:
    """Return who binds. Raises MalformedPdu."""
    fields = _Fields(body)
    system_id, password = fields.c_string(16), fields.c_string(9)
    fields.c_string(13)
    fields.octets(3)
    fields.c_string(41)
    return Bind(system_id, password)


def parse_message(body: bytes) -> MessageBody:
    """Return the body of a submit_sm or deliver_sm. Raises MalformedPdu."""
    fields = _Fields(body)
    fields.c_string(6)
    source, destination = fields.address(), fields.address()
    esm_class, protocol_id, _priority = fields.octets(3)
    fields.c_string(17)
    validity_period = fields.c_string(17)
    registered_delivery, _replace, data_coding, _default, size = fields.octets(5)
    if size > SHORT_MESSAGE_LIMIT:
        raise MalformedPdu("a short_message that is too long")
    short_message = fields.octets(size)
    return MessageBody(
        source=source,
        destination=destination,
        esm_class=esm_class,
        protocol_id=protocol_id,
        data_coding=data_coding,
        short_message=short_message,
        validity_period=validity_period,
        registered_delivery=registered_delivery,
        optional=fields.optional(),
    )


class _Fields:
    """Takes a body's fields one after another; whatever is missing or too long is MalformedPdu."""

    def __init__(self, body: bytes) -> None:
        self._rest = body

    def octets(self, size: int) -> bytes:
        if len(self._rest) < size:
            raise MalformedPdu("a body that ends early")
        taken, self._rest = self._rest[:size], self._rest[size:]
        return taken

    def c_string(self, limit: int) -> str:
        """limit: octets with the final zero."""
        value, zero, rest = self._rest.partition(b"\x00")
        if not zero or len(value) >= limit or not value.isascii():
            raise MalformedPdu("a string that is too long or not ASCII")
        self._rest = rest
        return value.decode("ascii")

    def address(self) -> Address:
        ton, npi = self.octets(2)
        return Address(ton, npi, self.c_string(21))

    def optional(self) -> dict[int, bytes]:
        found = {}
        while self._rest:
            tag, size = struct.unpack(">HH", self.octets(4))
            found[tag] = self.octets(size)
        return found


def _c_string(text: str) -> bytes:
    return text.encode("ascii") + b"\x00"


def _address(address: Address) -> bytes:
    return bytes([address.ton, address.npi]) + _c_string(address.address)


_PERIOD = re.compile(r"(\d{2})(\d{2})(\d{2})(\d{2})(\d{2})(\d{2})(\d)(\d{2})([R+-])", re.ASCII)


def expiry(validity_period: str, now: datetime, default: timedelta) -> datetime:
    """Return when a message expires (section 7.1.1): "YYMMDDhhmmsstnn+", "-" or "R" for relative.

    A relative year has 365 days and a month 30. Raises MalformedPdu.
    """
    if not validity_period:
        return now + default
    found = _PERIOD.fullmatch(validity_period)
    if found is None:
        raise MalformedPdu("a validity period that is none")
    numbers = [int(each) for each in found.groups()[:8]]
    year, month, day, hour, minute, second, _tenth, quarters = numbers
    try:
        if found[9] == "R":
            days = 365 * year + 30 * month + day
            return now + timedelta(days=days, hours=hour, minutes=minute, seconds=second)
        local = datetime(2000 + year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError:
        raise MalformedPdu("a validity period that is none") from None
    offset = timedelta(minutes=15 * quarters)
    return local - offset if found[9] == "+" else local + offset
