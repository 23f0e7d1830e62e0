"""Wake the readers of an inbox when a message has come."""

from __future__ import annotations

import asyncio

from services.messaging.inbox.rules import Inbox


class Arrivals:
    """Wakes who waits for an inbox."""

    def __init__(self) -> None:
        self._waiting: dict[Inbox, set[asyncio.Event]] = {inbox: set() for inbox in Inbox}

    def announce(self, inbox: Inbox) -> None:
        """Wake all who wait for the inbox."""
        for event in self._waiting[inbox]:
            event.set()

    def subscribe(self, inbox: Inbox, event: asyncio.Event) -> None:
        """Have the event set at each announcement, until unsubscribe."""
        self._waiting[inbox].add(event)

    def unsubscribe(self, inbox: Inbox, event: asyncio.Event) -> None:
        """Undo subscribe."""
        self._waiting[inbox].discard(event)
