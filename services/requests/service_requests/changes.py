"""Store a change of a request: the request, its history, and its end, in one transaction."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from services.requests.model.service_requests import Change, ServiceRequest, ended_of
from services.requests.model.states import Action
from services.requests.model.working_days import Calendar
from services.requests.privacy.private_texts import PrivateTexts
from services.requests.service_requests import store
from services.requests.service_requests.entries import change_entry
from services.requests.statistics import store as statistics_store
from services.runtime.errors import Aborted, PermissionDenied
from services.runtime.storage.database import Database


@dataclass(frozen=True, slots=True)
class Changes:
    """Reads requests, and stores changes of them."""

    database: Database
    texts: PrivateTexts
    calendar: Calendar
    # Called after a change of a signed request is committed: the log has something to be told.
    committed: Callable[[], None]

    async def read(self, name: str) -> ServiceRequest:
        """Return a request. Raises PermissionDenied if there is none: whether there is, is nobody's
        to know."""
        async with self.database.reading() as connection:
            found = await store.find(connection, self.texts, name)
        if found is None:
            raise PermissionDenied
        return found

    async def apply(self, name: str, act: Callable[[ServiceRequest], Change]) -> ServiceRequest:
        """Store what an act makes of the request as it is now, and return that.

        act: checks the caller first, then the state; may run again. Raises what it raises, and
        Aborted if the request was changed meanwhile.
        """

        async def work(connection: AsyncConnection) -> ServiceRequest:
            found = await store.find(connection, self.texts, name, lock=True)
            if found is None:
                raise PermissionDenied
            change = act(found)
            await self.put(connection, change)
            return change.request

        return await self.run(work)

    async def run(
        self, work: Callable[[AsyncConnection], Awaitable[ServiceRequest]]
    ) -> ServiceRequest:
        """Run a transaction that stores changes, and return the request that it returns."""
        request = await self.database.run(work)
        if request.is_signed:
            self.committed()
        return request

    async def put(self, connection: AsyncConnection, change: Change) -> None:
        """Store a change. Raises Aborted if the request was changed meanwhile."""
        if change.action is None:
            await store.add(connection, self.texts, change.request)
        elif not await store.replace(connection, self.texts, change.request):
            raise Aborted("the request changed meanwhile")
        ended = ended_of(change, self.calendar)
        entry = change_entry(change, ended)
        await store.add_event(connection, self.texts, change, entry)
        if ended is not None:
            await statistics_store.add_end(connection, ended)
        if change.action is Action.RECORD_OUTPUT:
            await statistics_store.set_not_electronic(connection, change.request.name)
