"""Well-formed IIN and BIN of made-up people and organizations, for `init`, the demo and tests."""

from __future__ import annotations

from datetime import date

from services.identity.subjects.iin_bin import check_digit

# A resident legal entity's head office.
ORGANIZATION_KIND = "40"


def _issued(prefix: str, serial: int, width: int) -> str:
    while True:
        eleven = f"{prefix}{serial % 10**width:0{width}d}"
        digit = check_digit(eleven)
        if digit is not None:
            return f"{eleven}{digit}"
        # No number with these digits is ever issued: take the one half the range away.
        serial += 10**width // 2


def made_up_iin(birth_date: date, serial: int, *, female: bool = False) -> str:
    """Return a person's IIN by date of birth, sex and a serial number of four digits."""
    century = (birth_date.year // 100 - 18) * 2 + (2 if female else 1)
    return _issued(f"{birth_date:%y%m%d}{century}", serial, 4)


def made_up_bin(registered: date, serial: int) -> str:
    """Return an organization's BIN by its month of registration and a serial number of five
    digits."""
    return _issued(f"{registered:%y%m}{ORGANIZATION_KIND}", serial, 5)
