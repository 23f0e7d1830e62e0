"""Requests for statistics, parsed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from qagazsyz.requests.v1 import statistics_pb2 as pb
from services.requests.model.statistics import Dimension
from services.requests.model.statistics_months import (
    is_given_out,
    is_month,
    months_from,
    newest_given_out,
    next_month,
)
from services.runtime.errors import InvalidArgument

MONTHS_LIMIT = 60
DIMENSIONS_LIMIT = 2


@dataclass(frozen=True, slots=True)
class Question:
    """What is counted: months, and by what."""

    months: tuple[str, ...]
    group_by: tuple[Dimension, ...]


def parse_question(request: pb.ComputeServiceStatisticsRequest, now: datetime) -> Question:
    """Return what is asked. Raises InvalidArgument."""
    newest = newest_given_out(now)
    first, last = request.first_month or newest, request.last_month or newest
    for field, month in (("first_month", first), ("last_month", last)):
        if not is_month(month):
            raise InvalidArgument(field, 'not of the form "2026-10"')
        if not is_given_out(month, now):
            raise InvalidArgument(field, "did not end a day ago")
    number = months_from(first, last)
    if not 1 <= number <= MONTHS_LIMIT:
        raise InvalidArgument("last_month", f"not 1 to {MONTHS_LIMIT} months from the first")
    if len(request.group_by) > DIMENSIONS_LIMIT:
        raise InvalidArgument("group_by", f"more than {DIMENSIONS_LIMIT}")
    group_by: list[Dimension] = []
    for index, text in enumerate(request.group_by):
        try:
            dimension = Dimension(text)
        except ValueError:
            raise InvalidArgument(f"group_by[{index}]", "unknown") from None
        if dimension in group_by:
            raise InvalidArgument(f"group_by[{index}]", "named twice")
        group_by.append(dimension)
    return Question(tuple(next_month(first, by) for by in range(number)), tuple(group_by))
