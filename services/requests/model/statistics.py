"""Counts of requests that ended, which tell nothing about a few.

The requests of one service, channel and month are a cell. A cell of fewer than five people is left
out of every answer, totals included, so that each answer is a sum of the same cells: whatever is
added and subtracted, what remains are whole cells, of five people or more.

Leaving out small groups of each answer alone would not do, even in pairs: the totals of two answers
can differ by one hidden cell (tests/unit/requests/model/test_statistics.py has such a case).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from services.requests.model.states import ServiceRequestChannel, ServiceRequestState

# People whose requests are counted together, at least.
PEOPLE_LIMIT = 5
# Fewer durations have no percentiles.
DURATIONS_LIMIT = 20
# Durations are kept to three significant digits: exact enough for a percentile, and few enough
# different ones to count each.
DIGITS = 3


class Dimension(Enum):
    """What counts are grouped by."""

    PUBLIC_SERVICE = "public_service"
    PROVIDER = "provider"
    MONTH = "month"
    CHANNEL = "channel"


@dataclass(frozen=True, slots=True)
class Ended:
    """A request that ended, as it is counted."""

    request: str
    revision: int
    public_service: str
    provider: str
    month: str
    channel: ServiceRequestChannel
    applicant: str
    state: ServiceRequestState
    is_electronic: bool
    is_in_time: bool
    looked_up: int
    # From submission to the end, without the applicant's own time; rounded.
    seconds: int


@dataclass(frozen=True, slots=True)
class Cell:
    """The smallest group that is ever told apart, and its counts."""

    public_service: str
    provider: str
    month: str
    channel: ServiceRequestChannel
    people: int
    ended: int
    electronic: int
    in_time: int
    refused: int
    looked_up: int
    # How many took so many seconds.
    seconds: Mapping[int, int]

    @property
    def is_large_enough(self) -> bool:
        """Whether it may be counted at all."""
        return self.people >= PEOPLE_LIMIT

    def value(self, dimension: Dimension) -> str:
        """Return what it is grouped by, as answers write it."""
        if dimension is Dimension.CHANNEL:
            return self.channel.name.lower()
        value: str = getattr(self, dimension.value)
        return value


@dataclass(frozen=True, slots=True)
class Counts:
    """The counts of one group."""

    group: Mapping[str, str]
    ended: int
    electronic: int
    proactive: int
    in_time: int
    refused: int
    looked_up: int
    # None for fewer than DURATIONS_LIMIT.
    p50_seconds: float | None
    p90_seconds: float | None


def rounded(seconds: float) -> int:
    """Return a duration to DIGITS significant digits, whole seconds."""
    whole = max(round(seconds), 0)
    return round(whole, DIGITS - len(str(whole))) if whole >= 10**DIGITS else whole


def count(cells: Iterable[Cell], group_by: Sequence[Dimension]) -> list[Counts]:
    """Return the counts by group, in the order of the groups' values."""
    groups: dict[tuple[str, ...], list[Cell]] = {}
    for cell in cells:
        if cell.is_large_enough:
            key = tuple(cell.value(dimension) for dimension in group_by)
            groups.setdefault(key, []).append(cell)
    return [
        _counts({each.value: text for each, text in zip(group_by, key, strict=True)}, groups[key])
        for key in sorted(groups)
    ]


def _counts(group: Mapping[str, str], cells: Sequence[Cell]) -> Counts:
    seconds: Counter[int] = Counter()
    for cell in cells:
        seconds.update(cell.seconds)
    return Counts(
        group=group,
        ended=sum(cell.ended for cell in cells),
        electronic=sum(cell.electronic for cell in cells),
        proactive=sum(
            cell.ended for cell in cells if cell.channel is ServiceRequestChannel.PROACTIVE
        ),
        in_time=sum(cell.in_time for cell in cells),
        refused=sum(cell.refused for cell in cells),
        looked_up=sum(cell.looked_up for cell in cells),
        p50_seconds=_percentile(seconds, 0.5),
        p90_seconds=_percentile(seconds, 0.9),
    )


def _percentile(seconds: Counter[int], share: float) -> float | None:
    """Return the smallest duration that this share does not exceed (nearest rank)."""
    total = seconds.total()
    if total < DURATIONS_LIMIT:
        return None
    rank, passed = math.ceil(share * total), 0
    for duration in sorted(seconds):
        passed += seconds[duration]
        if passed >= rank:
            return float(duration)
    raise AssertionError("unreachable")
