"""Wake those who wait for a session to change, in whichever replica it changed.

What changes here wakes at once. For the rest, while anybody waits, one query every LOOK_SECONDS
asks for the revisions of all sessions that are waited for in this process.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Mapping
from contextlib import asynccontextmanager

# What a change in another replica may be late by; a query of some hundred ids each time.
LOOK_SECONDS = 0.25
# Ids in one statement.
IDS_AT_ONCE = 500

ListRevisions = Callable[[Collection[str]], Awaitable[Mapping[str, int]]]


class Changes:
    """Who waits in this process, by session."""

    def __init__(self, list_revisions: ListRevisions) -> None:
        self._list_revisions = list_revisions
        self._waiting: dict[str, set[asyncio.Event]] = defaultdict(set)
        self._seen: dict[str, int] = {}

    def announce(self, ids: Iterable[str]) -> None:
        """Wake who waits for these sessions."""
        for session_id in ids:
            for event in self._waiting.get(session_id, ()):
                event.set()

    def is_waited_for(self, session_id: str) -> bool:
        """Return whether anybody here waits for a session."""
        return session_id in self._waiting

    @asynccontextmanager
    async def waiting(self, session_id: str, revision: int) -> AsyncIterator[asyncio.Event]:
        """Yield an event that is set when the session changes from that revision on."""
        event = asyncio.Event()
        self._waiting[session_id].add(event)
        self._seen[session_id] = min(revision, self._seen.get(session_id, revision))
        try:
            yield event
        finally:
            self._waiting[session_id].discard(event)
            if not self._waiting[session_id]:
                del self._waiting[session_id]
                self._seen.pop(session_id, None)

    async def look(self) -> None:
        """Ask for the revisions of what is waited for, and wake who waits for what changed."""
        ids = list(self._waiting)
        for start in range(0, len(ids), IDS_AT_ONCE):
            found = await self._list_revisions(ids[start : start + IDS_AT_ONCE])
            changed = [each for each in found if found[each] > self._seen.get(each, found[each])]
            self._seen.update({each: found[each] for each in changed if each in self._seen})
            self.announce(changed)


async def wait_at_most(event: asyncio.Event, seconds: float) -> bool:
    """Wait until the event is set; return False if the time was over first."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
            return True
    return False
