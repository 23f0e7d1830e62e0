"""StatisticsService: RPC in, RPC out."""

from __future__ import annotations

from cachetools import LRUCache

from qagazsyz.requests.v1 import statistics_pb2 as pb
from services.requests.model.statistics import Cell, count
from services.requests.statistics import store
from services.requests.statistics.messages import counts_message
from services.requests.statistics.requests import parse_question
from services.runtime.clock import Clock
from services.runtime.concurrency.single_flight import SingleFlight
from services.runtime.server import Call
from services.runtime.storage.database import Database

# Ten years; a month has a cell for each service and channel.
CACHED_MONTHS = 120


class StatisticsServicer:
    """Counts of months that are given out, which never change: each is read once."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._cells: LRUCache[str, list[Cell]] = LRUCache(CACHED_MONTHS)
        self._reads: SingleFlight[str, list[Cell]] = SingleFlight()

    async def ComputeServiceStatistics(
        self, request: pb.ComputeServiceStatisticsRequest, _call: Call
    ) -> pb.ComputeServiceStatisticsResponse:
        question = parse_question(request, self._clock())
        cells = [cell for month in question.months for cell in await self._month(month)]
        return pb.ComputeServiceStatisticsResponse(
            groups=[counts_message(each) for each in count(cells, question.group_by)]
        )

    async def _month(self, month: str) -> list[Cell]:
        cells = self._cells.get(month)
        if cells is None:

            async def read() -> list[Cell]:
                async with self._database.reading() as connection:
                    return await store.read_cells(connection, month)

            cells = await self._reads.do(month, read)
            self._cells[month] = cells
        return cells
