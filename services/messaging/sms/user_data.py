"""Read what phones send: user data headers, concatenation, and the content's alphabet.

If a header is malformed, all octets are content, so that nothing that a phone sent is lost
(3GPP TS 23.040, section 9.2.3.24).
"""

from __future__ import annotations

from dataclasses import dataclass

from sms.alphabets import show_septets
from sms.parts import (
    CONCATENATION_8_BIT,
    CONCATENATION_16_BIT,
    RESPONSE_PACKET,
    MalformedMessage,
    split_header,
)

# Data codings of SMPP 3.4, section 5.2.19, beside those of GSM.
ASCII, OCTETS, LATIN_1, OCTETS_ALSO, UCS2 = 0x01, 0x02, 0x03, 0x04, 0x08


@dataclass(frozen=True, slots=True)
class Concatenation:
    """Which part of which message: reference, how many, and which, from 1."""

    reference: int
    total: int
    number: int

    @property
    def is_valid(self) -> bool:
        return 1 <= self.number <= self.total <= 255


@dataclass(frozen=True, slots=True)
class UserData:
    """The content of one short message, and what its header says."""

    content: bytes
    concatenation: Concatenation | None = None
    is_sim_response: bool = False


def read_user_data(octets: bytes, *, has_header: bool) -> UserData:
    """Return content and header."""
    if not has_header:
        return UserData(octets)
    try:
        elements, content = split_header(octets)
    except MalformedMessage:
        return UserData(octets)
    concatenation = None
    is_sim_response = False
    for kind, value in elements:
        if kind == CONCATENATION_8_BIT and len(value) == 3:
            concatenation = Concatenation(value[0], value[1], value[2])
        elif kind == CONCATENATION_16_BIT and len(value) == 4:
            concatenation = Concatenation(value[0] << 8 | value[1], value[2], value[3])
        is_sim_response = is_sim_response or kind == RESPONSE_PACKET
    if concatenation is not None and not concatenation.is_valid:
        concatenation = None
    return UserData(content, concatenation, is_sim_response)


def is_binary(data_coding: int) -> bool:
    """Return whether the coding is of octets and not of text."""
    if data_coding & 0xF0 == 0xF0:  # a message class: bit 2 says 8-bit
        return bool(data_coding & 0x04)
    return data_coding in (OCTETS, OCTETS_ALSO)


def decode_text(content: bytes, data_coding: int, *, default_is_gsm: bool) -> str:
    """Return the text; what cannot be decoded becomes the replacement character.

    A zero is dropped, which no keyboard makes and PostgreSQL does not store.
    """
    if data_coding == UCS2:
        text = content.decode("utf-16-be", "replace")
    elif data_coding == LATIN_1:
        text = content.decode("latin-1")
    elif data_coding == ASCII:
        text = content.decode("ascii", "replace")
    elif default_is_gsm:
        text = show_septets(content)
    else:
        text = content.decode("latin-1")
    return text.replace("\0", "")
