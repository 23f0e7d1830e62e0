"""Working days of the calendar that ships, and limits counted in them."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.requests.model.working_days import Calendar, end_of, local_day, start_of
from tests.unit.requests.model.requests_made import CALENDAR


def test_a_limit_leaves_out_weekends_and_holidays() -> None:
    # Nauryz of 2026: the 21st and 22nd fall on a weekend, so that the 24th and 25th are off too.
    assert CALENDAR.add(date(2026, 3, 20), 1) == date(2026, 3, 26)
    assert CALENDAR.add(date(2026, 11, 6), 3) == date(2026, 11, 11)
    assert CALENDAR.add(date(2026, 11, 7), 0) == date(2026, 11, 7)


def test_a_day_ends_at_midnight_in_almaty() -> None:
    assert end_of(date(2026, 11, 6)) == datetime(2026, 11, 6, 19, tzinfo=UTC)
    assert local_day(datetime(2026, 11, 6, 19, tzinfo=UTC)) == date(2026, 11, 7)
    assert start_of(date(2026, 11, 7)) == end_of(date(2026, 11, 6))


@given(day=st.dates(date(2025, 1, 1), date(2028, 1, 1)), number=st.integers(0, 40))
def test_counting_and_adding_undo_each_other(day: date, number: int) -> None:
    assert CALENDAR.between(day, CALENDAR.add(day, number)) == number


def test_decrees_make_days_working_and_free() -> None:
    calendar = Calendar.parse(
        "# decree\n2026-12-05 working for the 4th\n2026-12-04 off  # Friday\n"
    )
    assert calendar.add(date(2026, 12, 3), 1) == date(2026, 12, 5)


@pytest.mark.parametrize("line", ["2026-02-30 off", "2026-12-04", "2026-12-04 free", "today off"])
def test_a_malformed_line_is_named(line: str) -> None:
    with pytest.raises(ValueError, match="line 2"):
        Calendar.parse(f"2026-01-01 off New Year\n{line}\n")
    with pytest.raises(ValueError, match="twice"):
        Calendar.parse("2026-01-01 off\n2026-01-01 working\n")
