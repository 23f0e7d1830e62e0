"""Split what is longer than one short message into parts, and join parts again (3GPP TS 23.040).

Each part begins with a user data header: UDHL, then information elements (identifier, length,
value). Concatenation is element 00 (8-bit reference) or 08 (16-bit). A secured packet's first part
also has element 70 (a command to the SIM) or 71 (a SIM's response), both of length 0 (3GPP TS
31.115, section 4). Splitting never breaks a character.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from sms.alphabets import Alphabet, alphabet_for, alphabet_of, encode

# Octets of one message's user data, and septets, which SMPP carries one an octet.
OCTETS_LIMIT = 140
SEPTETS_LIMIT = 160
# Parts are numbered from 1 in one octet.
PARTS_LIMIT = 255
# References of the concatenation element 00 wrap at this.
REFERENCES = 256

# Protocol identifier and data coding of messages for and from SIMs: (U)SIM data download, and 8-bit
# data of class 2 (3GPP TS 23.040, section 9.2.3.9; TS 23.038, section 4).
SIM_PROTOCOL_ID = 0x7F
SIM_DATA_CODING = 0xF6
_TEXT_CODINGS = {Alphabet.GSM_7BIT: 0x00, Alphabet.UCS2: 0x08}

# Information element identifiers (3GPP TS 23.040, section 9.2.3.24).
CONCATENATION_8_BIT = 0x00
CONCATENATION_16_BIT = 0x08
COMMAND_PACKET = 0x70
RESPONSE_PACKET = 0x71
_PACKETS = (COMMAND_PACKET, RESPONSE_PACKET)
# UDHL and the element 00 05 03 reference total number, together.
_CONCATENATION_OCTETS = 6
# The same in septets, rounded up.
_CONCATENATION_SEPTETS = 7
_PACKET_ELEMENT_OCTETS = 2


class MalformedMessage(ValueError):
    """A user data header that is not one, or parts that do not belong together."""


class TooLong(ValueError):
    """More parts than a message may have."""


@dataclass(frozen=True, slots=True)
class ShortMessage:
    """One short message, with the fields of SMPP's submit_sm and deliver_sm."""

    # The header first where has_header is set (TP-UDHI, esm_class 0x40).
    user_data: bytes
    has_header: bool
    protocol_id: int
    data_coding: int


@dataclass(frozen=True, slots=True)
class Part:
    """A short message without its header: where it belongs, and what it carries."""

    # 0 of 1 where the message stands alone.
    reference: int
    total: int
    # From 1.
    number: int
    # COMMAND_PACKET or RESPONSE_PACKET in the first part of a secured packet, else None.
    packet: int | None
    alphabet: Alphabet
    data: bytes


@dataclass(frozen=True, slots=True)
class WholeMessage:
    """What one or several parts carried together; packet as in the first part."""

    packet: int | None
    alphabet: Alphabet
    data: bytes


def split_text(text: str, reference: int) -> list[ShortMessage]:
    """Return the messages that carry a text: one of 160 septets or 70 characters, or parts of 153
    or 67.

    reference: 0 to 255, unlike that of the last messages to the same number. Raises NotInAlphabet
    for characters beyond UCS-2, TooLong.
    """
    alphabet = alphabet_for(text)
    return split_characters([encode(char, alphabet) for char in text], alphabet, reference)


def split_characters(
    characters: Iterable[bytes], alphabet: Alphabet, reference: int, *, most: int = PARTS_LIMIT
) -> list[ShortMessage]:
    """Return at most so many messages that carry the characters of a text, each encoded, as
    split_text does. Raises TooLong."""
    characters = list(characters)
    coding = _TEXT_CODINGS[alphabet]
    if alphabet is Alphabet.GSM_7BIT:
        single, rest = SEPTETS_LIMIT, SEPTETS_LIMIT - _CONCATENATION_SEPTETS
    else:
        single, rest = OCTETS_LIMIT, OCTETS_LIMIT - _CONCATENATION_OCTETS
    whole = b"".join(characters)
    if len(whole) <= single:
        return [ShortMessage(whole, False, 0, coding)]
    chunks = list(_whole_characters(characters, rest))
    return [
        ShortMessage(_header(reference, len(chunks), number) + chunk, True, 0, coding)
        for number, chunk in enumerate(_checked(chunks, most), start=1)
    ]


def _whole_characters(characters: Iterable[bytes], limit: int) -> Iterator[bytes]:
    """Yield chunks of at most limit octets that end between characters: an escape and what it
    escapes stay together."""
    chunk = bytearray()
    for octets in characters:
        if len(chunk) + len(octets) > limit:
            yield bytes(chunk)
            chunk.clear()
        chunk += octets
    yield bytes(chunk)


def split_packet(
    packet: bytes,
    identifier: int,
    reference: int,
    *,
    limit: int = OCTETS_LIMIT,
    most: int = PARTS_LIMIT,
) -> list[ShortMessage]:
    """Return at most so many messages that carry a secured packet.

    identifier: COMMAND_PACKET or RESPONSE_PACKET. limit: octets of one message. Raises TooLong.
    """
    element = bytes([identifier, 0])
    if 1 + len(element) + len(packet) <= limit:
        return [_sim_message(bytes([len(element)]) + element + packet)]
    first = limit - _CONCATENATION_OCTETS - _PACKET_ELEMENT_OCTETS
    rest = limit - _CONCATENATION_OCTETS
    chunks = [packet[:first]]
    chunks += [packet[start : start + rest] for start in range(first, len(packet), rest)]
    return [
        _sim_message(
            _header(reference, len(chunks), number, element if number == 1 else b"") + chunk
        )
        for number, chunk in enumerate(_checked(chunks, most), start=1)
    ]


def _sim_message(user_data: bytes) -> ShortMessage:
    return ShortMessage(user_data, True, SIM_PROTOCOL_ID, SIM_DATA_CODING)


def _checked(chunks: list[bytes], most: int) -> list[bytes]:
    if len(chunks) > most:
        raise TooLong(f"takes {len(chunks)} short messages, more than {most}")
    return chunks


def _header(reference: int, total: int, number: int, more: bytes = b"") -> bytes:
    elements = bytes([CONCATENATION_8_BIT, 3, reference, total, number]) + more
    return bytes([len(elements)]) + elements


def read_part(message: ShortMessage) -> Part:
    """Return what a short message carries and where it belongs.

    Elements that are not named here are skipped (3GPP TS 23.040, section 9.2.3.24). Raises
    MalformedMessage, and NotInAlphabet for a data coding that is not read.
    """
    alphabet = alphabet_of(message.data_coding)
    if not message.has_header:
        return Part(0, 1, 1, None, alphabet, message.user_data)
    reference, total, number, packet = 0, 1, 1, None
    elements, data = split_header(message.user_data)
    for identifier, value in elements:
        # If an element comes twice, the last one counts (section 9.2.3.24).
        if identifier == CONCATENATION_8_BIT:
            reference, total, number = _concatenation(value, 1)
        elif identifier == CONCATENATION_16_BIT:
            reference, total, number = _concatenation(value, 2)
        elif identifier in _PACKETS:
            if value:
                raise MalformedMessage("an element of a secured packet that is not empty")
            packet = identifier
    return Part(reference, total, number, packet, alphabet, data)


def split_header(user_data: bytes) -> tuple[list[tuple[int, bytes]], bytes]:
    """Return the elements of a user data header, and what follows it. Raises MalformedMessage."""
    if not user_data or len(user_data) < 1 + user_data[0]:
        raise MalformedMessage("a header that is longer than its message")
    header, data = user_data[1 : 1 + user_data[0]], user_data[1 + user_data[0] :]
    elements = []
    while header:
        if len(header) < 2 or len(header) < 2 + header[1]:
            raise MalformedMessage("an element that is longer than its header")
        elements.append((header[0], header[2 : 2 + header[1]]))
        header = header[2 + header[1] :]
    return elements, data


def _concatenation(value: bytes, reference_octets: int) -> tuple[int, int, int]:
    if len(value) != reference_octets + 2:
        raise MalformedMessage("a concatenation of the wrong length")
    total, number = value[-2:]
    if not 1 <= number <= total:
        raise MalformedMessage("a part's number beyond its total")
    return int.from_bytes(value[:reference_octets], "big"), total, number


def join(parts: Iterable[Part]) -> WholeMessage | None:
    """Return what the parts carry together, None while some are missing.

    The order does not matter, and a part that came twice counts once. Raises MalformedMessage if
    they do not belong together, or two parts of one number differ.
    """
    by_number: dict[int, Part] = {}
    for part in parts:
        if by_number.setdefault(part.number, part) != part:
            raise MalformedMessage("two parts of one number")
    if not by_number:
        return None
    if len({(each.reference, each.total, each.alphabet) for each in by_number.values()}) != 1:
        raise MalformedMessage("parts of several messages")
    if len(by_number) < next(iter(by_number.values())).total:
        return None
    ordered = [by_number[number] for number in sorted(by_number)]
    if any(part.packet is not None for part in ordered[1:]):
        raise MalformedMessage("a secured packet that begins in a later part")
    data = b"".join(part.data for part in ordered)
    return WholeMessage(ordered[0].packet, ordered[0].alphabet, data)
