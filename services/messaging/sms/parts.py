"""Split a text or a secured packet into short messages of 140 octets.

Nothing is cut or replaced: what takes more than PARTS_LIMIT parts is refused. The same content with
the same reference always gives the same bytes, so that a part can be sent again after a crash.

A text takes 160 characters of GSM 7-bit or 70 of UCS-2; with the header of a concatenated message
(3GPP TS 23.040, section 9.2.3.24.1) 153 or 67 a part. No pair of octets that is one character is
split. A secured packet takes 140 octets, headers off (3GPP TS 31.115, section 4).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from services.messaging.sms import alphabet

# 1,530 Latin or 670 Kazakh letters: more than any text of the platform.
PARTS_LIMIT = 10
# Data coding schemes (3GPP TS 23.038, section 4). Zero is the default alphabet of the SMSC.
DEFAULT_ALPHABET, UCS2, SIM_DATA = 0x00, 0x08, 0xF6
# Protocol identifier "(U)SIM Data download" (3GPP TS 23.040, section 9.2.3.9).
SIM_DOWNLOAD = 0x7F
OCTETS = 140
# With the six octets of the concatenation header: 134 octets, which are 153 septets or 67 UCS-2.
SINGLE_SEPTETS, PART_SEPTETS = 160, 153
PART_OCTETS = 134
# UDH with the one element "command packet" (3GPP TS 31.115): 3 octets alone, 2 beside another.
COMMAND_PACKET = b"\x70\x00"


class TooLong(ValueError):
    """The content takes more than PARTS_LIMIT parts."""


@dataclass(frozen=True, slots=True)
class Part:
    """One short message as it goes to the network."""

    user_data: bytes
    data_coding: int
    protocol_id: int = 0
    # Whether user_data begins with a user data header (UDHI).
    has_header: bool = False


def split_text(text: str, reference: int, *, default_is_gsm: bool) -> tuple[Part, ...]:
    """Return the parts of a text. Raises TooLong.

    reference: of the concatenation, modulo 256. default_is_gsm: whether data coding 0 is GSM 7-bit
    at this SMSC; if it is not, every text goes in UCS-2.
    """
    septets = alphabet.encode(text) if default_is_gsm else None
    if septets is not None:
        chunks = _fill(septets, SINGLE_SEPTETS, PART_SEPTETS)
        return _concatenated(chunks, reference, DEFAULT_ALPHABET)
    characters = [character.encode("utf-16-be", "surrogatepass") for character in text]
    return _concatenated(_fill(characters, OCTETS, PART_OCTETS), reference, UCS2)


def split_packet(packet: bytes, reference: int) -> tuple[Part, ...]:
    """Return the parts of a secured packet; the first has the command header. Raises TooLong."""
    single = bytes([len(COMMAND_PACKET)]) + COMMAND_PACKET
    if len(packet) + len(single) <= OCTETS:
        return (Part(single + packet, SIM_DATA, SIM_DOWNLOAD, has_header=True),)
    first = PART_OCTETS - len(COMMAND_PACKET)
    rest = packet[first:]
    chunks = [
        packet[:first],
        *(rest[n : n + PART_OCTETS] for n in range(0, len(rest), PART_OCTETS)),
    ]
    _check(len(chunks))
    return tuple(
        Part(
            _header(reference, len(chunks), n, COMMAND_PACKET if n == 1 else b"") + chunk,
            SIM_DATA,
            SIM_DOWNLOAD,
            has_header=True,
        )
        for n, chunk in enumerate(chunks, 1)
    )


def _concatenated(chunks: list[bytes], reference: int, data_coding: int) -> tuple[Part, ...]:
    if len(chunks) == 1:
        return (Part(chunks[0], data_coding),)
    _check(len(chunks))
    return tuple(
        Part(_header(reference, len(chunks), n) + chunk, data_coding, has_header=True)
        for n, chunk in enumerate(chunks, 1)
    )


def _header(reference: int, total: int, number: int, more: bytes = b"") -> bytes:
    elements = bytes([0x00, 3, reference % 256, total, number]) + more
    return bytes([len(elements)]) + elements


def _fill(characters: Iterable[bytes], single: int, size: int) -> list[bytes]:
    """Return the characters joined: in one chunk where that holds them, else in chunks of size."""
    characters = list(characters)
    whole = b"".join(characters)
    if len(whole) <= single:
        return [whole]
    chunks = [bytearray()]
    for character in characters:
        if len(chunks[-1]) + len(character) > size:
            chunks.append(bytearray())
        chunks[-1] += character
    return [bytes(chunk) for chunk in chunks]


def _check(parts: int) -> None:
    if parts > PARTS_LIMIT:
        raise TooLong(f"takes {parts} short messages, more than {PARTS_LIMIT}")
