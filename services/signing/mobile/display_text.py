"""Rules of what stands on a phone's screen: who asks, and for what, on one honest line.

The smallest screens show sixteen characters and no font of their own. So a text has letters of the
Latin and Cyrillic scripts, digits, punctuation and single spaces, and no word of it mixes the two
scripts, whose letters look alike (Unicode Technical Standard 39, section 5.2, by word).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping

from services.runtime.errors import InvalidArgument
from services.runtime.settings import CannotStart
from sms.applet import TextRefused, check_text

# Stands before each text, "Bank: …".
SHORT_NAME_LIMIT = 11
SEPARATOR = ": "
# Latin to Latin Extended-B without signs; Cyrillic with the letters of Kazakh, and its supplement.
_LATIN = range(0x41, 0x250)
_CYRILLIC = range(0x400, 0x530)
_LETTERS = {"Lu", "Ll"}
# Punctuation, and signs of sums and currencies.
_SIGNS = {"Pc", "Pd", "Ps", "Pe", "Pi", "Pf", "Po", "Sm", "Sc"}
_DIGITS = "0123456789"
_ALSO = " №"


def make_text(short_name: str, text: str, field: str = "display_text") -> str:
    """Return the line that stands on the screen. Raises InvalidArgument: nothing is cut."""
    check_line(text, field)
    line = f"{short_name}{SEPARATOR}{text}"
    try:
        check_text(line)
    except TextRefused as error:
        raise InvalidArgument(field, f"with the short name before it: {error}") from None
    return line


def check_line(text: str, field: str) -> None:
    """Raise InvalidArgument for a text that a screen may show as another."""
    if text != text.strip(" ") or not text:
        raise InvalidArgument(field, "begins or ends with a space, or is empty")
    if "  " in text:
        raise InvalidArgument(field, "two spaces beside each other")
    if not all(_is_shown(char) for char in text):
        raise InvalidArgument(
            field, "a character that is no Latin or Cyrillic letter, digit, punctuation or space"
        )
    if not unicodedata.is_normalized("NFC", text):
        raise InvalidArgument(field, "not in Unicode's normalization form C")
    if any(_is_mixed(word) for word in _words(text)):
        raise InvalidArgument(field, "a word of Latin and Cyrillic letters")


def parse_short_names(setting: str, platform: str) -> dict[str, str]:
    """Return the short names of organizations that may ask phones: "subjects/…=Bank", by comma.
    Raises CannotStart for a name that is malformed, taken twice or the platform's."""
    names: dict[str, str] = {}
    for entry in filter(None, (each.strip() for each in setting.split(","))):
        organization, _, name = entry.partition("=")
        name = name.strip()
        _check_short_name(name)
        if not organization.startswith("subjects/") or organization.strip() in names:
            raise CannotStart(f"{entry!r} is not subjects/…=NAME, or names a subject twice")
        names[organization.strip()] = name
    _check_unlike({"the platform": platform} | names)
    return names


def _check_short_name(name: str) -> None:
    try:
        check_line(name, "short name")
    except InvalidArgument as error:
        raise CannotStart(f"{name!r}: {error.message}") from None
    if len(name) > SHORT_NAME_LIMIT or ":" in name:
        raise CannotStart(f"{name!r} has a colon or more than {SHORT_NAME_LIMIT} characters")


def _check_unlike(names: Mapping[str, str]) -> None:
    seen = {_skeleton(name) for name in names.values()}
    if len(seen) != len(names):
        raise CannotStart("two short names are alike, or one is like the platform's")


def _skeleton(name: str) -> str:
    """Return a name with Cyrillic letters replaced by the Latin ones that look the same."""
    return name.casefold().translate(_ALIKE)


_ALIKE = str.maketrans("авекмнорстухіһјѕԁԛԝү", "abekmhopctyxihjsdqwy")


def _is_shown(char: str) -> bool:
    category = unicodedata.category(char)
    if category in _LETTERS:
        return _script(char) is not None
    return category in _SIGNS or char in _DIGITS or char in _ALSO


def _script(char: str) -> range | None:
    return next((script for script in (_LATIN, _CYRILLIC) if ord(char) in script), None)


def _words(text: str) -> Iterator[str]:
    """Yield the runs of letters and digits, hyphens and apostrophes."""
    word = ""
    for char in text:
        if unicodedata.category(char) in _LETTERS or char in _DIGITS or char in "-'’.":
            word += char
        else:
            yield word
            word = ""
    yield word


def _is_mixed(word: str) -> bool:
    scripts = {_script(char) for char in word if unicodedata.category(char) in _LETTERS}
    return len(scripts) > 1
