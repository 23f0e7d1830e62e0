"""How phones become unseen: their SIM has signed nothing for so long as operators set.

Mobile networks give a number that was not used for months to somebody else. So an unseen phone gets
no text, and no request but that of ConfirmPhone, until its SIM has signed a new challenge: an old
signature would not show that the card is still there.
"""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncConnection

from services.identity.phones import store
from services.identity.phones.rules import new_challenge
from services.runtime.clock import Clock, Randomness
from services.runtime.storage.database import Database

# How often it is looked for them; an index finds them.
UNSEEN_SECONDS = 60.0
# Of one transaction.
UNSEEN_LIMIT = 1_000


class UnseenPhones:
    """Sets phones unseen."""

    def __init__(
        self,
        *,
        database: Database,
        after: timedelta,
        platform: str,
        clock: Clock,
        randomness: Randomness,
    ) -> None:
        """after: since the SIM's last signature; platform: its name in challenges."""
        self._database = database
        self._after = after
        self._platform = platform
        self._clock = clock
        self._randomness = randomness

    async def find(self) -> None:
        """Set all phones unseen that were not seen for long enough."""

        async def work(connection: AsyncConnection) -> int:
            before = self._clock() - self._after
            found = await store.list_unseen(connection, before=before, limit=UNSEEN_LIMIT)
            for phone in found:
                challenge = new_challenge(
                    phone, platform=self._platform, randomness=self._randomness
                )
                await store.set_unseen(connection, phone, challenge, before=before)
            return len(found)

        while await self._database.run(work) == UNSEEN_LIMIT:
            pass
