"""End requests whose person did not sign or answer in time."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

from services.requests.model import acts
from services.requests.model.service_requests import Change, ServiceRequest
from services.requests.service_requests import store
from services.requests.service_requests.changes import Changes
from services.runtime.clock import Clock
from services.runtime.errors import Aborted, FailedPrecondition

# Requests that lapse in one round; the next ones follow a minute later.
ROUND = 1_000


@dataclass(frozen=True, slots=True)
class Lapsing:
    """Lets requests lapse."""

    changes: Changes
    clock: Clock

    async def lapse(self) -> int:
        """Lapse what is due, at most ROUND requests; return how many."""
        now = self.clock()
        async with self.changes.database.reading() as connection:
            names = await store.list_to_lapse(connection, now, limit=ROUND)

        def act(request: ServiceRequest) -> Change:
            return acts.lapse(request, now, self.changes.calendar)

        lapsed = 0
        for name in names:
            # Somebody acted meanwhile.
            with suppress(FailedPrecondition, Aborted):
                await self.changes.apply(name, act)
                lapsed += 1
        return lapsed
