"""Statistics as they are asked for, from the rows of what ended."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from qagazsyz.requests.v1 import statistics_pb2 as pb
from services.requests.statistics import store
from services.runtime.errors import InvalidArgument
from tests.calls import call
from tests.unit.requests.model.test_statistics import Channel, cells_of, ended
from tests.unit.requests.world import World


async def ask(world: World, **fields: object) -> pb.ComputeServiceStatisticsResponse:
    return await world.parts.statistics.ComputeServiceStatistics(
        pb.ComputeServiceStatisticsRequest(**fields),  # type: ignore[arg-type]
        call(),
    )


async def test_the_store_reads_cells_as_they_are_defined(world: World) -> None:
    many = [
        *(ended(number, seconds=number % 3) for number in range(7)),
        *(ended(number, "publicServices/b", Channel.OFFICE) for number in range(20, 24)),
        # One more person, twice.
        *(ended(30, "publicServices/b", Channel.SMS, revision=revision) for revision in (3, 5)),
    ]
    async with world.database.transaction() as connection:
        for one in many:
            await store.add_end(connection, one)
    async with world.database.reading() as connection:
        found = await store.read_cells(connection, "2026-09")
    assert found == [cell for cell in cells_of(many) if cell.is_large_enough]


async def test_what_ended_is_counted_once_its_month_is_given_out(world: World) -> None:
    service = await world.offered(world.by_rule())
    for _ in range(5):
        await world.submitted(service, world.platform.person())
    for month in ("2026-11", "2026-12", "1999-01", "2026-13", "2026"):
        with pytest.raises(InvalidArgument, match="first_month"):
            await ask(world, first_month=month, last_month=month)
    world.clock.now = datetime(2026, 12, 1, 18, 59, tzinfo=UTC)
    with pytest.raises(InvalidArgument, match="a day ago"):
        await ask(world, first_month="2026-11", last_month="2026-11")
    # The second of December begins in Almaty.
    world.clock.move(minutes=1)
    answer = await ask(world, first_month="2026-10", last_month="2026-11", group_by=["month"])
    (november,) = answer.groups
    assert dict(november.group) == {"month": "2026-11"}
    assert (november.ended_count, november.electronic_count, november.looked_up_count) == (5, 5, 5)
    assert (november.in_time_count, november.refused_count) == (5, 0)
    assert not november.HasField("p50_seconds")
    assert (await ask(world)).groups[0].ended_count == 5


async def test_questions_that_are_none_are_refused(unstored: World) -> None:
    for fields in (
        {"first_month": "2026-10", "last_month": "2026-09"},
        {"first_month": "2020-01", "last_month": "2026-10"},
        {"group_by": ["applicant"]},
        {"group_by": ["month", "month"]},
        {"group_by": ["month", "channel", "provider"]},
    ):
        with pytest.raises(InvalidArgument):
            await ask(unstored, **fields)
