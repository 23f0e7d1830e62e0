"""When statements of version 1, which do not name their issuer, end."""

from __future__ import annotations

from datetime import datetime

from services.registry.documents import store
from services.registry.model.statements import VERSION_1_LASTS
from services.runtime.clock import Clock
from services.runtime.errors import AlreadyExists
from services.runtime.storage.database import Database


class VersionOneEnd:
    """The time from which version 1 is refused: a setting, or 90 days after the first start.

    The first start is that of a registry that knows version 2; it is stored, so that all replicas
    and later starts have the same end.
    """

    def __init__(self, database: Database, clock: Clock, setting: datetime | None = None) -> None:
        self._database = database
        self._clock = clock
        self._time = setting

    @property
    def time(self) -> datetime:
        """Return the end. Raises RuntimeError before start."""
        if self._time is None:
            raise RuntimeError("version 1's end is not read yet")
        return self._time

    async def start(self) -> None:
        """Read the first start, and store it if this is it."""
        if self._time is None:
            try:
                first = await self._first_start()
            except AlreadyExists:
                first = await self._first_start()
            self._time = first + VERSION_1_LASTS

    async def _first_start(self) -> datetime:
        now = self._clock()
        return await self._database.run(lambda connection: store.keep_first_start(connection, now))
