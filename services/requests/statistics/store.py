"""All SQL of the statistics: ends of requests, and the cells that they are counted in."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import asdict

from sqlalchemy import ColumnElement, case, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.requests.model.states import ServiceRequestChannel, ServiceRequestState
from services.requests.model.statistics import PEOPLE_LIMIT, Cell, Ended
from services.requests.tables import ends

_columns = ends.c
_KEY = (_columns.public_service, _columns.provider, _columns.month, _columns.channel)


async def add_end(connection: AsyncConnection, ended: Ended) -> None:
    """Store an end of a request."""
    values = asdict(ended) | {"channel": int(ended.channel), "state": int(ended.state)}
    await connection.execute(insert(ends).values(values))


async def set_not_electronic(connection: AsyncConnection, request: str) -> None:
    """Store that the output of a request's end was handed over on paper."""
    await connection.execute(
        update(ends)
        .where(_columns.request == request, _columns.state == int(ServiceRequestState.ISSUED))
        .values(is_electronic=False)
    )


async def read_cells(connection: AsyncConnection, month: str) -> list[Cell]:
    """Return the cells of one month that may be counted: those of enough people."""
    people = func.count(_columns.applicant.distinct())
    found = await connection.execute(
        select(
            *_KEY,
            people.label("people"),
            func.count().label("ended"),
            _number_of(_columns.is_electronic).label("electronic"),
            _number_of(_columns.is_in_time).label("in_time"),
            _number_of(_columns.state == int(ServiceRequestState.REFUSED)).label("refused"),
            func.sum(_columns.looked_up).label("looked_up"),
        )
        .where(_columns.month == month)
        .group_by(*_KEY)
        .having(people >= PEOPLE_LIMIT)
    )
    rows = found.all()
    durations = await connection.execute(
        select(*_KEY, _columns.seconds, func.count())
        .where(_columns.month == month)
        .group_by(*_KEY, _columns.seconds)
    )
    seconds: defaultdict[tuple[str, ...], dict[int, int]] = defaultdict(dict)
    for *key, duration, number in durations:
        seconds[tuple(key)][duration] = number
    return [
        Cell(
            public_service=row.public_service,
            provider=row.provider,
            month=row.month,
            channel=ServiceRequestChannel(row.channel),
            people=row.people,
            ended=row.ended,
            electronic=row.electronic,
            in_time=row.in_time,
            refused=row.refused,
            looked_up=int(row.looked_up),
            seconds=seconds[row.public_service, row.provider, row.month, row.channel],
        )
        for row in rows
    ]


def _number_of(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return func.sum(case((condition, 1), else_=0))
