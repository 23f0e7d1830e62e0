"""Working days of a calendar, and time limits counted in them.

Days are those of Asia/Almaty, which is UTC+5 since 1 March 2024; no request is older. A limit of n
working days runs to the end of the nth working day after the day of submission (Kazakhstan's
Administrative Procedural Code counts from the day after).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone

# A fixed offset, and not the zone by name: machines have lists of zones from before the change.
ALMATY = timezone(timedelta(hours=5))
SATURDAY = 5
ONE_DAY = timedelta(days=1)
_KINDS = {"off": False, "working": True}


@dataclass(frozen=True, slots=True)
class Calendar:
    """Whether a day is a working day; days that are not named are so from Monday to Friday."""

    differs: Mapping[date, bool]

    @classmethod
    def parse(cls, text: str) -> Calendar:
        """Read lines "2026-05-01 off Day of Unity"; "#" begins a comment. Raises ValueError, which
        names the line."""
        differs: dict[date, bool] = {}
        for number, line in enumerate(text.splitlines(), 1):
            words = line.partition("#")[0].split(maxsplit=2)
            if not words:
                continue
            try:
                day, is_working = date.fromisoformat(words[0]), _KINDS[words[1]]
            except (ValueError, KeyError, IndexError):
                raise ValueError(f'line {number} is not "<date> off|working …"') from None
            if day in differs:
                raise ValueError(f"line {number}: {day} is there twice")
            differs[day] = is_working
        return cls(differs)

    def is_working(self, day: date) -> bool:
        """Return whether the day is a working day."""
        return self.differs.get(day, day.weekday() < SATURDAY)

    def working_days_after(self, day: date) -> Iterator[date]:
        """Yield the working days after a day, in order, without end."""
        while True:
            day += ONE_DAY
            if self.is_working(day):
                yield day

    def add(self, day: date, working_days: int) -> date:
        """Return the working day so many after a day; the day itself for 0."""
        for number, found in enumerate(self.working_days_after(day), 1):
            if number > working_days:
                break
            day = found
        return day

    def between(self, first: date, last: date) -> int:
        """Return how many working days come after `first` up to `last`."""
        return sum(
            self.is_working(first + timedelta(days=number))
            for number in range(1, (last - first).days + 1)
        )


def local_day(moment: datetime) -> date:
    """Return the day in Asia/Almaty."""
    return moment.astimezone(ALMATY).date()


def end_of(day: date) -> datetime:
    """Return the first moment, in UTC, that is no longer that day in Asia/Almaty."""
    return datetime.combine(day + ONE_DAY, time(), ALMATY).astimezone(UTC)


def start_of(day: date) -> datetime:
    """Return the first moment, in UTC, of that day in Asia/Almaty."""
    return datetime.combine(day, time(), ALMATY).astimezone(UTC)
