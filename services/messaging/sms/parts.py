"""Split a text or a secured packet into the short messages that messaging sends.

Nothing is cut or replaced: what takes more than PARTS_LIMIT parts is refused. The same content with
the same reference always gives the same bytes, so that a part can be sent again after a crash.
"""

from __future__ import annotations

from sms import parts
from sms.alphabets import Alphabet, septets_of
from sms.parts import COMMAND_PACKET, REFERENCES, ShortMessage

# 1,530 Latin or 670 Kazakh letters: more than any text of the platform.
PARTS_LIMIT = 10


def split_text(text: str, reference: int, *, default_is_gsm: bool) -> list[ShortMessage]:
    """Return the parts of a text. Raises TooLong.

    reference: of the concatenation, modulo 256. default_is_gsm: whether data coding 0 is GSM 7-bit
    at this SMSC; if it is not, every text goes in UCS-2. A character beyond UCS-2 goes as the two
    surrogates that phones read, never apart.
    """
    characters = septets_of(text) if default_is_gsm else None
    alphabet = Alphabet.GSM_7BIT
    if characters is None:
        characters = [character.encode("utf-16-be", "surrogatepass") for character in text]
        alphabet = Alphabet.UCS2
    return parts.split_characters(characters, alphabet, reference % REFERENCES, most=PARTS_LIMIT)


def split_packet(packet: bytes, reference: int) -> list[ShortMessage]:
    """Return the parts of a secured packet; the first has the command header. Raises TooLong."""
    return parts.split_packet(packet, COMMAND_PACKET, reference % REFERENCES, most=PARTS_LIMIT)
