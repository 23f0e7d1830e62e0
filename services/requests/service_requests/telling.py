"""Tell the registry each change of a request, for the transparency log.

A change is stored with its request, in one transaction, and told afterwards, in order, again and
again until the registry has it, which takes a change it knows as the same. So none is lost, and no
request waits for the log.
"""

from __future__ import annotations

import asyncio
import logging

from services.requests.privacy.private_texts import PrivateTexts
from services.requests.public_services import store as service_store
from services.requests.service_requests import store
from services.requests.service_requests.interface import Delegate
from services.requests.service_requests.store import Event
from services.runtime.errors import DomainError
from services.runtime.storage.database import Database

log = logging.getLogger(__name__)

# Changes that are read at once.
ROUND = 100


class LogTelling:
    """Tells the log what happened; one round at a time."""

    def __init__(self, database: Database, texts: PrivateTexts, delegate: Delegate) -> None:
        self._database = database
        self._texts = texts
        self._delegate = delegate
        self._changed = asyncio.Event()

    def wake(self) -> None:
        """Begin the next round at once."""
        self._changed.set()

    async def run(self, seconds: float) -> None:
        """Tell what there is, whenever something changed, and after so many seconds at most; until
        cancelled. A round that fails is logged, and the next one is tried."""
        while True:
            self._changed.clear()
            try:
                await self.tell()
            except Exception as error:
                log.warning("telling the log failed", extra={"exception": type(error).__name__})
            try:
                await asyncio.wait_for(self._changed.wait(), seconds)
            except TimeoutError:
                continue

    async def tell(self) -> int:
        """Tell all changes that the log has yet to hold; return how many it took.

        What it refuses of one request does not hold up those of others.
        """
        told, refused = 0, set[str]()
        while True:
            async with self._database.reading() as connection:
                found = await store.list_untold(
                    connection, self._texts, besides=refused, limit=ROUND
                )
            if not found:
                return told
            for event in found:
                if event.request in refused:
                    continue
                try:
                    await self._tell(event)
                    told += 1
                except DomainError as error:
                    refused.add(event.request)
                    log.warning("not told", extra={"exception": type(error).__name__})

    async def _tell(self, event: Event) -> None:
        async with self._database.reading() as connection:
            request = await store.find(connection, self._texts, event.request)
            assert request is not None, event.request  # noqa: S101 - its history is there
            service = await service_store.find_version(
                connection, request.public_service, request.service_version
            )
        # The registry verifies what was signed once, and may have at a look-up.
        is_submission = event.time == request.submit_time
        mandated = service if is_submission and service and service.approval else None
        index = await self._delegate.append(mandated, request, event)
        async with self._database.transaction() as connection:
            await store.set_log_index(connection, event.number, index)
