"""The tests' clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


class Clock:
    """A time in UTC that stands still until a test moves it; the real time if not given."""

    def __init__(self, now: datetime | None = None) -> None:
        self.now = now if now is not None else datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.now

    def move(self, **by: float) -> None:
        """Move it by timedelta's keywords: days=1, seconds=-5."""
        self.now += timedelta(**by)
