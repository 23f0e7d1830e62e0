"""The GSM 7-bit default alphabet and its extension table (3GPP TS 23.038, sections 6.2.1).

One septet is one octet here, as SMPP carries it; the network packs them.
"""

from __future__ import annotations

_BASIC = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\x1bÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENDED = {
    "\f": 0x0A,
    "^": 0x14,
    "{": 0x28,
    "}": 0x29,
    "\\": 0x2F,
    "[": 0x3C,
    "~": 0x3D,
    "]": 0x3E,
    "|": 0x40,
    "€": 0x65,
}
ESCAPE = 0x1B
_SEPTETS = {
    **{character: bytes([n]) for n, character in enumerate(_BASIC) if n != ESCAPE},
    **{character: bytes([ESCAPE, n]) for character, n in _EXTENDED.items()},
}
_CHARACTERS = {n: character for character, n in _EXTENDED.items()}


def encode(text: str) -> list[bytes] | None:
    """Return the septets of each character, one or two, or None if the alphabet lacks one."""
    septets = [_SEPTETS.get(character) for character in text]
    return [each for each in septets if each is not None] if None not in septets else None


def decode(septets: bytes) -> str:
    """Return the text. An unknown extension is its basic character, as TS 23.038 asks of phones,
    an octet over 0x7F the replacement character."""
    text = []
    escaped = False
    for octet in septets:
        if escaped:
            text.append(_CHARACTERS.get(octet) or _basic(octet))
            escaped = False
        elif octet == ESCAPE:
            escaped = True
        else:
            text.append(_basic(octet))
    return "".join(text)


def _basic(octet: int) -> str:
    if octet == ESCAPE:  # a second one is reserved for another table, and shown as a space
        return " "
    return _BASIC[octet] if octet < len(_BASIC) else "\N{REPLACEMENT CHARACTER}"
