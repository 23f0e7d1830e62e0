"""Keywords that people write to the short number, compared however they are written."""

from __future__ import annotations

import unicodedata

# Cyrillic letters, in lower case, that look like Latin ones: phones mix the alphabets up.
_LOOK_ALIKES = str.maketrans("аәвеһіјкмнорсԛтуүхԝԁ", "aəbehijkmhopcqtyyxwd")


def fold_keyword(text: str) -> str:
    """Return the text as keywords are compared: without case, spaces and signs, and with letters
    that look alike as one letter."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    return "".join(each for each in plain if each.isalnum()).translate(_LOOK_ALIKES)
