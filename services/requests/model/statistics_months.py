"""The calendar months that requests are counted by."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta

from services.requests.model.working_days import local_day, start_of

# So that what is under way at a month's end is written.
GIVEN_OUT_AFTER = timedelta(days=1)
_MONTH = re.compile(r"([0-9]{4})-(0[1-9]|1[0-2])")


def month_of(moment: datetime) -> str:
    """Return the month in Asia/Almaty, "2026-10"."""
    return f"{local_day(moment):%Y-%m}"


def is_month(text: str) -> bool:
    """Return whether the text is a month of the years 2000 and after, "2026-10"."""
    return _MONTH.fullmatch(text) is not None and text >= "2000"


def next_month(month: str, by: int = 1) -> str:
    """Return the month so many after (before, if negative)."""
    number = int(month[:4]) * 12 + int(month[5:]) - 1 + by
    return f"{number // 12:04}-{number % 12 + 1:02}"


def months_from(first: str, last: str) -> int:
    """Return how many months are from one to another, both counted; less than 1 if reversed."""
    return (int(last[:4]) - int(first[:4])) * 12 + int(last[5:]) - int(first[5:]) + 1


def is_given_out(month: str, now: datetime) -> bool:
    """Return whether the month ended a day ago: its counts change no more."""
    after = next_month(month)
    return now >= start_of(date(int(after[:4]), int(after[5:]), 1)) + GIVEN_OUT_AFTER


def newest_given_out(now: datetime) -> str:
    """Return the newest month that is given out."""
    before = next_month(month_of(now), -1)
    return before if is_given_out(before, now) else next_month(before, -1)
