"""Lease messages to the readers of an inbox, who compete for them.

A message is one reader's for LEASE seconds. Then, or when its reader's stream ends, it is free for
the next. It ends when any reader of the inbox has acknowledged it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from sqlalchemy.ext.asyncio import AsyncConnection

from services.messaging.inbox import store
from services.messaging.inbox.arrivals import Arrivals
from services.messaging.inbox.rules import LEASE, Inbox, Received
from services.messaging.privacy.letters import Letter
from services.messaging.privacy.vault import Vault
from services.messaging.smpp.link import Step, no_step
from services.runtime.clock import Clock, uuid7
from services.runtime.storage.database import Database

# Leased at once to one reader, who deals with them within LEASE.
LEASED_AT_ONCE = 16
# Without a wake-up, a reader looks this often: for leases that ended.
LOOK_EVERY_SECONDS = 1.0


class Reader:
    """One stream that reads an inbox."""

    def __init__(
        self, inbox: Inbox, *, database: Database, vault: Vault, clock: Clock, step: Step = no_step
    ) -> None:
        self._inbox = inbox
        self._database = database
        self._vault = vault
        self._clock = clock
        self._step = step
        self._id = str(uuid7(clock()))
        self._woken = asyncio.Event()
        # Ids that are leased to this reader and not acknowledged.
        self._open: set[str] = set()

    @asynccontextmanager
    async def subscribed(self, arrivals: Arrivals) -> AsyncIterator[None]:
        """Be woken by arrivals in the block; at its end, free what was not acknowledged."""
        arrivals.subscribe(self._inbox, self._woken)
        try:
            yield
        finally:
            arrivals.unsubscribe(self._inbox, self._woken)

            async def work(connection: AsyncConnection) -> None:
                await store.release(connection, self._id)

            await self._database.run(work)
            arrivals.announce(self._inbox)

    async def next(self) -> list[tuple[Received, Letter]]:
        """Wait for messages, and return some, leased; oldest first."""
        while True:
            self._woken.clear()
            found = await self._lease()
            if found:
                return found
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_EVERY_SECONDS):
                    await self._woken.wait()

    async def acknowledge(self, ids: Sequence[str]) -> None:
        """End these messages."""
        now = self._clock()

        async def work(connection: AsyncConnection) -> None:
            await store.acknowledge(connection, self._inbox, ids, now)

        await self._database.run(work)
        self._step("acknowledged by a reader")
        self._open.difference_update(ids)
        self._woken.set()

    async def _lease(self) -> list[tuple[Received, Letter]]:
        now = self._clock()
        room = LEASED_AT_ONCE - len(self._open)
        if room < 1:
            # Leases end without a word; what this reader has may be another's by now.
            self._open = await self._still_leased()
            return []

        async def work(connection: AsyncConnection) -> list[Received]:
            return await store.lease(
                connection, self._inbox, self._id, now=now, until=now + LEASE, limit=room
            )

        found = await self._database.run(work)
        self._step("leased")
        self._open.update(each.id for each in found)
        return [
            (each, Letter.from_bytes(self._vault.unseal(each.sealed, record=each.id)))
            for each in found
        ]

    async def _still_leased(self) -> set[str]:
        async with self._database.reading() as connection:
            return await store.leased_to(connection, self._id, self._clock())
