"""Identity's events on their way into the log: fetched, appended, acknowledged.

The log's own table says how far it is: an event's row is committed with its entry, under identity's
number as key. So two replicas that fetch the same events append them once - the second meets the
key, and its whole submission is undone - and an acknowledgement that was lost is only repeated.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from services.registry.identity_events import store
from services.registry.identity_events.clients import IdentityEventClient
from services.registry.log.group_commit import Conflict
from services.registry.log.sequencer import Sequencer
from services.registry.log.transparency_log import encode_entry
from services.registry.model.identity_events import IdentityEvent
from services.registry.model.log_entries import identity_entry
from services.runtime.storage.database import Database

log = logging.getLogger(__name__)

# Fetched and appended at once: some tens of milliseconds of a group's transaction.
EVENTS_AT_ONCE = 200


class EventCollection:
    """Brings identity's events into the log, each exactly once and in order."""

    def __init__(
        self, database: Database, sequencer: Sequencer, identity: IdentityEventClient
    ) -> None:
        self._database = database
        self._sequencer = sequencer
        self._identity = identity
        self._acknowledged = 0

    async def collect(self) -> None:
        """Append what identity tells until it tells no more, and acknowledge what the log has.

        Raises Unavailable and DeadlineExceeded, and ValueError for an event that this registry does
        not know: it waits, and with it those behind it, for a newer registry.
        """
        while True:
            async with self._database.reading() as connection:
                last = await store.get_last_number(connection)
            if last > self._acknowledged:
                await self._identity.acknowledge(last)
                self._acknowledged = last
            events = await self._identity.read_events(last, EVENTS_AT_ONCE)
            if not events:
                return
            await self._append(events)

    async def _append(self, events: Sequence[IdentityEvent]) -> None:
        entries = [encode_entry(identity_entry(event)) for event in events]
        try:
            await self._sequencer.submit(entries, rows=[store.event_rows(events)])
        except Conflict:
            log.info("another replica logged identity's events first")
