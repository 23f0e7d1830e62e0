"""Watches whether the transparency log takes what happened, and says once that it does not."""

from __future__ import annotations

import logging
from enum import Enum

from services.identity.events import store
from services.identity.events.event import ALERT_AFTER, REGISTRY, STOP_AFTER
from services.runtime.clock import Clock
from services.runtime.storage.database import Database

log = logging.getLogger(__name__)

# How often it looks: much less than ALERT_AFTER.
WATCH_SECONDS = 30.0


class Lag(Enum):
    """How far the log is behind."""

    SMALL = "small"
    ALERT = "alert"
    STOP = "stop"


class LogWatch:
    """Logs an error when the log falls behind, and another when that stops acts; no event's values
    are in either."""

    def __init__(self, *, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._lag = Lag.SMALL

    async def check(self) -> None:
        """Compare the oldest event that the log lacks with the time now, and log a change."""
        async with self._database.reading() as connection:
            # A log that never took any lacks all of them.
            through = await store.get_place(connection, REGISTRY) or 0
            oldest = await store.get_time_behind(connection, through)
        age = None if oldest is None else self._clock() - oldest
        if age is None or age < ALERT_AFTER:
            lag = Lag.SMALL
        else:
            lag = Lag.ALERT if age < STOP_AFTER else Lag.STOP
        if lag is self._lag:
            return
        self._lag = lag
        match lag:
            case Lag.SMALL:
                log.warning("the transparency log takes what happened again")
            case Lag.ALERT:
                log.error("the transparency log has lacked an event for five minutes")
            case Lag.STOP:
                log.error("the transparency log has lacked an event for an hour")
