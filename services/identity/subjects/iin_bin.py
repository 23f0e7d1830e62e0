"""IIN and BIN, the twelve-digit numbers of people and organizations in Kazakhstan.

An IIN is YYMMDD, a digit for century and sex, four serial digits and a check digit; a BIN is YYMM,
a type digit, a unit digit, five serial digits and the same check digit. The fifth digit tells them
apart: 0 to 3 in an IIN, 4 to 6 in a BIN. Numbers are checked at enrolment only: a certificate is
never refused for its IIN.
"""

from __future__ import annotations

from datetime import date
from enum import Enum

DIGITS = 12
# The weights of the second pass, used if the first gives 10.
_SECOND_WEIGHTS = (3, 4, 5, 6, 7, 8, 9, 10, 11, 1, 2)
# The century digit: 1 and 2 the 1800s, 3 and 4 the 1900s, 5 and 6 the 2000s (odd for men).
_CENTURIES = {1: 1800, 2: 1800, 3: 1900, 4: 1900, 5: 2000, 6: 2000}


class NumberKind(Enum):
    """Whose number it is."""

    PERSON = "IIN"
    ORGANIZATION = "BIN"


class InvalidNumber(ValueError):
    """Not twelve digits, an impossible date, or a wrong check digit."""


def check_digit(first_eleven: str) -> int | None:
    """Return the twelfth digit to eleven others, or None if such a number is never issued."""
    digits = [int(digit) for digit in first_eleven]
    check = sum(digit * weight for weight, digit in enumerate(digits, 1)) % 11
    if check == 10:
        weighted = zip(digits, _SECOND_WEIGHTS, strict=True)
        check = sum(digit * weight for digit, weight in weighted) % 11
    return None if check == 10 else check


def is_twelve_digits(text: str) -> bool:
    """Return whether the text is twelve ASCII digits; check nothing else."""
    return len(text) == DIGITS and text.isascii() and text.isdecimal()


def kind_of(number: str) -> NumberKind:
    """Return whether a well-formed number is an IIN or a BIN. Raises InvalidNumber."""
    if not is_twelve_digits(number):
        raise InvalidNumber("not twelve digits")
    if check_digit(number[:11]) != int(number[11]):
        raise InvalidNumber("the check digit is wrong")
    if number[4] in "456":
        return NumberKind.ORGANIZATION
    if number[4] in "0123":
        return NumberKind.PERSON
    raise InvalidNumber("neither an IIN nor a BIN")


def check_iin(number: str) -> date:
    """Return the date of birth that an IIN states. Raises InvalidNumber."""
    if kind_of(number) is not NumberKind.PERSON:
        raise InvalidNumber("a BIN, not an IIN")
    century = _CENTURIES.get(int(number[6]))
    if century is None:
        raise InvalidNumber("the century digit is wrong")
    try:
        return date(century + int(number[:2]), int(number[2:4]), int(number[4:6]))
    except ValueError:
        raise InvalidNumber("the date of birth is not a date") from None


def check_bin(number: str) -> None:
    """Raise InvalidNumber if the number is not a BIN."""
    if kind_of(number) is not NumberKind.ORGANIZATION:
        raise InvalidNumber("an IIN, not a BIN")
    if not 1 <= int(number[2:4]) <= 12:
        raise InvalidNumber("the month of registration is not a month")
    if number[5] not in "0123":
        raise InvalidNumber("the unit digit is wrong")
