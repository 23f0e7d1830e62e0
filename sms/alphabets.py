"""Write and read text in the alphabets of short messages (3GPP TS 23.038).

GSM 7-bit has 128 characters and a few more behind an escape; all else is UCS-2. Septets are not
packed here: SMPP and SIM toolkit both carry one in an octet. A character outside the alphabet is an
error, never replaced: a text that somebody signs must be the text that was sent.
"""

from __future__ import annotations

from enum import Enum

# 3GPP TS 23.038, section 6.2.1; the escape at 0x1B stands as itself.
_BASIC = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\x1bÆæßÉ"
    " !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§"
    "¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_ESCAPE = 0x1B
# Section 6.2.1.1. The second escape, for more tables, is unused in the standard.
_EXTENSION = {
    0x0A: "\f",
    0x14: "^",
    0x28: "{",
    0x29: "}",
    0x2F: "\\",
    0x3C: "[",
    0x3D: "~",
    0x3E: "]",
    0x40: "|",
    0x65: "€",
}
_SEPTETS = {
    **{char: bytes([code]) for code, char in enumerate(_BASIC) if code != _ESCAPE},
    **{char: bytes([_ESCAPE, code]) for code, char in _EXTENSION.items()},
}
_LARGEST_UCS2 = 0xFFFF
_SURROGATES = range(0xD800, 0xE000)


class NotInAlphabet(ValueError):
    """A character, or an octet, that the alphabet does not have. The message holds no text."""


class Alphabet(Enum):
    """How the octets of a short message are read (3GPP TS 23.038, section 4)."""

    GSM_7BIT = "gsm"
    UCS2 = "ucs2"
    BINARY = "binary"


def septets_of(text: str) -> list[bytes] | None:
    """Return the septets of each character, one or two, or None if GSM 7-bit lacks one."""
    septets = [_SEPTETS.get(char) for char in text]
    return [each for each in septets if each is not None] if None not in septets else None


def alphabet_for(text: str) -> Alphabet:
    """Return the smaller alphabet that has every character of the text.

    Raises NotInAlphabet for characters beyond UCS-2.
    """
    if septets_of(text) is not None:
        return Alphabet.GSM_7BIT
    encode(text, Alphabet.UCS2)
    return Alphabet.UCS2


def encode(text: str, alphabet: Alphabet) -> bytes:
    """Return the text's octets: septets one an octet, or UCS-2 big-endian.

    Raises NotInAlphabet for a character that the alphabet lacks, half a surrogate pair among them.
    """
    if alphabet is Alphabet.GSM_7BIT:
        septets = septets_of(text)
        if septets is None:
            raise NotInAlphabet("a character outside the GSM 7-bit alphabet")
        return b"".join(septets)
    if alphabet is Alphabet.UCS2:
        if any(ord(char) > _LARGEST_UCS2 or ord(char) in _SURROGATES for char in text):
            raise NotInAlphabet("a character outside UCS-2")
        return text.encode("utf-16-be")
    raise NotInAlphabet("binary messages have no characters")


def decode(data: bytes, alphabet: Alphabet) -> str:
    """Return the text of octets, as encode wrote them.

    UCS-2 is read as UTF-16, because phones write characters beyond UCS-2 as surrogate pairs. Raises
    NotInAlphabet for octets that no character has.
    """
    if alphabet is Alphabet.GSM_7BIT:
        return _decode_septets(data)
    if alphabet is Alphabet.UCS2:
        try:
            return data.decode("utf-16-be")
        except UnicodeDecodeError:
            raise NotInAlphabet("octets that are not UCS-2") from None
    raise NotInAlphabet("binary messages have no characters")


def _decode_septets(data: bytes) -> str:
    chars: list[str] = []
    octets = iter(data)
    for octet in octets:
        if octet != _ESCAPE:
            if octet >= len(_BASIC):
                raise NotInAlphabet("an octet that is no septet")
            chars.append(_BASIC[octet])
            continue
        try:
            chars.append(_EXTENSION[next(octets)])
        except (StopIteration, KeyError):
            raise NotInAlphabet("an escape that no character has") from None
    return "".join(chars)


def show_septets(data: bytes) -> str:
    """Return the text as a phone shows it, whatever the octets are, where `decode` refuses some: an
    unknown extension is its basic character (section 6.2.1.1), an octet over 0x7F the replacement
    character."""
    chars: list[str] = []
    octets = iter(data)
    for octet in octets:
        if octet != _ESCAPE:
            chars.append(_shown(octet))
        elif (escaped := next(octets, None)) is not None:
            chars.append(_EXTENSION.get(escaped) or _shown(escaped))
    return "".join(chars)


def _shown(octet: int) -> str:
    if octet == _ESCAPE:
        return " "
    return _BASIC[octet] if octet < len(_BASIC) else "\N{REPLACEMENT CHARACTER}"


def alphabet_of(data_coding: int) -> Alphabet:
    """Return the alphabet that a data coding scheme names (3GPP TS 23.038, section 4).

    Raises NotInAlphabet for compressed text and the reserved codings. 0 is read as GSM 7-bit; SMPP
    calls it the SMSC's default, which an operator may have set otherwise.
    """
    group = data_coding >> 4
    if data_coding == 0x02:
        # SMPP 3.4, section 5.2.19: octets unspecified. In 3GPP TS 23.038 it is a class bit that
        # only counts with bit 4 set.
        return Alphabet.BINARY
    if group < 0x4:
        if data_coding & 0x20:
            raise NotInAlphabet("compressed text")
        return _by_bits(data_coding >> 2 & 0x03)
    if group in (0xC, 0xD):
        return Alphabet.GSM_7BIT
    if group == 0xE:
        return Alphabet.UCS2
    if group == 0xF:
        return Alphabet.BINARY if data_coding & 0x04 else Alphabet.GSM_7BIT
    raise NotInAlphabet("a reserved data coding scheme")


def _by_bits(bits: int) -> Alphabet:
    if bits == 0x03:
        raise NotInAlphabet("a reserved alphabet")
    return (Alphabet.GSM_7BIT, Alphabet.BINARY, Alphabet.UCS2)[bits]
