"""How numbers of phones that have ended are erased: so long after the end as operators set."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncConnection

from services.identity.phones import store
from services.runtime.clock import Clock
from services.runtime.storage.database import Database

# They are kept for days, and a round reads all phones that have ended.
ERASE_SECONDS = 3_600.0
# Of one transaction.
ERASE_LIMIT = 1_000


class NumberErasing:
    """Erases numbers, and the hashes by which they are found."""

    def __init__(self, *, database: Database, kept: timedelta, clock: Clock) -> None:
        self._database = database
        self._kept = kept
        self._clock = clock

    async def erase(self) -> None:
        """Erase the numbers of all phones that ended long enough ago."""

        async def work(connection: AsyncConnection) -> int:
            before = self._clock() - self._kept
            return await store.erase_numbers(connection, before=before, limit=ERASE_LIMIT)

        while await self._database.run(work) == ERASE_LIMIT:
            pass
