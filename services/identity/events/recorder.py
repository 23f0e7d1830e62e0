"""Records what happened, in the transaction of the act, and stops acts that nobody would see."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncConnection

from services.identity.events import store
from services.identity.events.event import REGISTRY, SALT_BYTES, Happening, check_is_logged
from services.identity.events.notice import PhoneNotice
from services.runtime.clock import Clock, Randomness


class EventRecorder:
    """Writes events with their numbers, times and salts."""

    def __init__(self, clock: Clock, randomness: Randomness) -> None:
        self._clock = clock
        self._randomness = randomness

    async def record(self, connection: AsyncConnection, happening: Happening) -> None:
        """Insert the event in the transaction of its act."""
        salts = [self._randomness(SALT_BYTES) for _ in range(happening.commitments)]
        await store.add_event(connection, happening, time=self._clock(), salts=salts)

    async def notify(self, connection: AsyncConnection, notice: PhoneNotice) -> None:
        """Insert what signing is to do about a phone in the transaction of its act, behind all
        events that it records: every transaction locks the two queues in this order."""
        await store.add_notice(connection, notice, time=self._clock())

    async def check_is_logged(self, connection: AsyncConnection) -> None:
        """Raise FailedPrecondition if the transparency log has lacked an event for an hour."""
        check_is_logged(await store.get_oldest_unread(connection, REGISTRY), self._clock())
