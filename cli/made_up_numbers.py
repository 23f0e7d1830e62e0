"""Well-formed IIN and BIN for made-up people and organizations."""

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
        # No number begins so; half the range away is nobody else's in a made-up register.
        serial += 10**width // 2


def made_up_iin(birth_date: date, serial: int, *, female: bool = False) -> str:
    """A person's number by date of birth, sex and a serial of four digits."""
    century = (birth_date.year // 100 - 18) * 2 + (2 if female else 1)
    return _issued(f"{birth_date:%y%m%d}{century}", serial, 4)


def made_up_bin(registered: date, serial: int) -> str:
    """An organization's number by its month of registration and a serial of five digits."""
    return _issued(f"{registered:%y%m}{ORGANIZATION_KIND}", serial, 5)
