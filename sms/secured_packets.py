"""Secured packets to and from a SIM (3GPP TS 31.115 V17, section 4; ETSI TS 102 225, section 5).

A packet is authenticated and fresh, not secret: its cryptographic checksum is AES-CMAC (RFC 4493)
over header, counter and data under a key that one SIM and the platform share, and the SIM accepts
a counter only above the last one. Just this one security level is spoken: a packet that asks for
less is refused, so nobody can talk a SIM down to a packet without a checksum.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from enum import IntEnum

from cryptography.hazmat.primitives.ciphers import algorithms
from cryptography.hazmat.primitives.cmac import CMAC

# ETSI TS 102 225, section 5.1.1. First octet: process only if the counter is above the last one
# (bits 5 and 4: 10), no ciphering, cryptographic checksum (bits 2 and 1: 10).
# Second: a response only on an error (bits 2 and 1: 10), with a checksum (bits 4 and 3: 10), not
# ciphered, by SMS-SUBMIT (bit 6). What the person decides comes later, from the applet itself.
SPI = b"\x12\x2a"
# No ciphering.
KIC = 0x00
# Key set 1, AES in CMAC mode (section 5.1.3).
KID = 0x12
# Ours, of those that an operator gives to toolkit applets, 000001 to AFFFFF (ETSI TS 101 220,
# annex D): "QAG".
TAR = b"QAG"

# AES-128.
MAC_KEY_OCTETS = 16
CHECKSUM_OCTETS = 8
_TAR_OCTETS = 3
_COUNTER_OCTETS = 5
LARGEST_COUNTER = (1 << 8 * _COUNTER_OCTETS) - 1
# Octets from SPI to the checksum, and from TAR to the checksum.
_COMMAND_HEADER_LENGTH = 2 + 1 + 1 + _TAR_OCTETS + _COUNTER_OCTETS + 1 + CHECKSUM_OCTETS
_RESPONSE_HEADER_LENGTH = _TAR_OCTETS + _COUNTER_OCTETS + 1 + 1 + CHECKSUM_OCTETS
# The packet's length (two octets) and the header's own (one) stand before them.
COMMAND_OVERHEAD_OCTETS = 3 + _COMMAND_HEADER_LENGTH
RESPONSE_OVERHEAD_OCTETS = 3 + _RESPONSE_HEADER_LENGTH
# A response's checksum covers its user data header too, a command's does not. Whatever parts a
# response came in, the header of one that came whole is taken: UDHL, IEI, length.
_RESPONSE_PREFIX = b"\x02\x71\x00"
# Two messages carry 266; what is longer has nothing to do with us.
PACKET_LIMIT_OCTETS = 1024


class ResponseStatus(IntEnum):
    """What a SIM says of a packet (ETSI TS 102 225, section 5.2, table 5)."""

    OK = 0x00
    CHECKSUM_FAILED = 0x01
    COUNTER_LOW = 0x02
    COUNTER_HIGH = 0x03
    COUNTER_BLOCKED = 0x04
    CIPHERING_ERROR = 0x05
    UNIDENTIFIED_SECURITY_ERROR = 0x06
    INSUFFICIENT_MEMORY = 0x07
    MORE_TIME_NEEDED = 0x08
    TAR_UNKNOWN = 0x09
    INSUFFICIENT_SECURITY_LEVEL = 0x0A


class PacketRefused(Exception):
    """A packet is not processed; status says why, as the SIM reports it.

    counter is the packet's own where the checksum held, else 0: an error about a packet that
    anybody may have written vouches for nothing in it.
    """

    def __init__(self, status: ResponseStatus, counter: int = 0) -> None:
        super().__init__(status.name)
        self.status = status
        self.counter = counter


@dataclass(frozen=True, slots=True)
class Command:
    """An accepted command packet."""

    counter: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Response:
    """A response packet whose checksum held. counter is that of the command it answers, and data is
    empty unless status is OK."""

    counter: int
    status: ResponseStatus
    data: bytes


def checksum(key: bytes, data: bytes) -> bytes:
    """Return the first eight octets of AES-CMAC (RFC 4493)."""
    mac = CMAC(algorithms.AES(key))
    mac.update(data)
    return mac.finalize()[:CHECKSUM_OCTETS]


def write_command(counter: int, data: bytes, key: bytes) -> bytes:
    """Return a command packet: CPL, CHL, SPI, KIc, KID, TAR, CNTR, PCNTR, CC, data.

    counter: above that of every packet that was written for this SIM before. Raises ValueError if
    the counter is 0 or beyond five octets, or the packet is longer than PACKET_LIMIT_OCTETS.
    """
    _check(counter, COMMAND_OVERHEAD_OCTETS + len(data))
    head = (
        (1 + _COMMAND_HEADER_LENGTH + len(data)).to_bytes(2, "big")
        + bytes([_COMMAND_HEADER_LENGTH])
        + SPI
        + bytes([KIC, KID])
        + TAR
        + counter.to_bytes(_COUNTER_OCTETS, "big")
        + b"\x00"
    )
    return head + checksum(key, head + data) + data


def read_command(packet: bytes, key: bytes, last_counter: int) -> Command:
    """Return an authentic command packet whose counter is above the last one, as a SIM does.

    The checksum is compared before anything that it covers is believed. Raises PacketRefused.
    """
    if len(packet) < COMMAND_OVERHEAD_OCTETS or len(packet) > PACKET_LIMIT_OCTETS:
        raise PacketRefused(ResponseStatus.UNIDENTIFIED_SECURITY_ERROR)
    if (
        int.from_bytes(packet[:2], "big") != len(packet) - 2
        or packet[2] != _COMMAND_HEADER_LENGTH
        or packet[3:5] != SPI
        or packet[5] != KIC
        or packet[6] != KID
    ):
        raise PacketRefused(ResponseStatus.INSUFFICIENT_SECURITY_LEVEL)
    head, mac, data = packet[:16], packet[16:24], packet[24:]
    if not hmac.compare_digest(checksum(key, head + data), mac):
        raise PacketRefused(ResponseStatus.CHECKSUM_FAILED)
    counter = int.from_bytes(packet[10:15], "big")
    if packet[7:10] != TAR:
        raise PacketRefused(ResponseStatus.TAR_UNKNOWN, counter)
    if packet[15]:
        raise PacketRefused(ResponseStatus.CIPHERING_ERROR, counter)
    if last_counter >= LARGEST_COUNTER:
        raise PacketRefused(ResponseStatus.COUNTER_BLOCKED, counter)
    if counter <= last_counter:
        raise PacketRefused(ResponseStatus.COUNTER_LOW, counter)
    return Command(counter, data)


def write_response(
    counter: int, data: bytes, key: bytes, status: ResponseStatus = ResponseStatus.OK
) -> bytes:
    """Return a response packet: RPL, RHL, TAR, CNTR, PCNTR, status, CC, data.

    counter: that of the command that is answered; 0 for one whose checksum failed. Raises
    ValueError as write_command does.
    """
    _check(counter or 1, RESPONSE_OVERHEAD_OCTETS + len(data))
    head = (
        (1 + _RESPONSE_HEADER_LENGTH + len(data)).to_bytes(2, "big")
        + bytes([_RESPONSE_HEADER_LENGTH])
        + TAR
        + counter.to_bytes(_COUNTER_OCTETS, "big")
        + b"\x00"
        + bytes([status])
    )
    return head + checksum(key, _RESPONSE_PREFIX + head + data) + data


def read_response(packet: bytes, key: bytes) -> Response:
    """Return an authentic response packet.

    Whether its counter is that of a command which waits for an answer, the caller decides. Raises
    PacketRefused.
    """
    if len(packet) < RESPONSE_OVERHEAD_OCTETS or len(packet) > PACKET_LIMIT_OCTETS:
        raise PacketRefused(ResponseStatus.UNIDENTIFIED_SECURITY_ERROR)
    if int.from_bytes(packet[:2], "big") != len(packet) - 2 or packet[2] != _RESPONSE_HEADER_LENGTH:
        raise PacketRefused(ResponseStatus.INSUFFICIENT_SECURITY_LEVEL)
    head, mac, data = packet[:13], packet[13:21], packet[21:]
    if not hmac.compare_digest(checksum(key, _RESPONSE_PREFIX + head + data), mac):
        raise PacketRefused(ResponseStatus.CHECKSUM_FAILED)
    counter = int.from_bytes(packet[6:11], "big")
    if packet[3:6] != TAR:
        raise PacketRefused(ResponseStatus.TAR_UNKNOWN, counter)
    if packet[11]:
        raise PacketRefused(ResponseStatus.CIPHERING_ERROR, counter)
    try:
        status = ResponseStatus(packet[12])
    except ValueError:
        raise PacketRefused(ResponseStatus.UNIDENTIFIED_SECURITY_ERROR, counter) from None
    if data and status is not ResponseStatus.OK:
        raise PacketRefused(ResponseStatus.UNIDENTIFIED_SECURITY_ERROR, counter)
    return Response(counter, status, data)


def _check(counter: int, size: int) -> None:
    if not 0 < counter <= LARGEST_COUNTER:
        raise ValueError("the counter does not fit into five octets, or is 0")
    if size > PACKET_LIMIT_OCTETS:
        raise ValueError(f"a packet longer than {PACKET_LIMIT_OCTETS} octets")
