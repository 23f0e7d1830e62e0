"""The mobile network's word: which number has which card, and that it has another now."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from services.identity.events.notice import PhoneNoticeKind
from services.identity.phones import store
from services.identity.phones.ending import PhoneEnding
from services.identity.phones.rules import ListedSim, Sim
from services.identity.store import Taken
from services.runtime.access import Caller
from services.runtime.clock import Clock, Randomness, uuid7
from services.runtime.errors import Aborted


class SimLists:
    """Takes lists of SIMs and reports of swaps, and ends the phones of other cards."""

    def __init__(self, *, ending: PhoneEnding, clock: Clock, randomness: Randomness) -> None:
        self._ending = ending
        self._clock = clock
        self._randomness = randomness

    async def take(
        self, connection: AsyncConnection, listed: Sequence[ListedSim], caller: Caller
    ) -> None:
        """Store the cards of a list; end the phones of numbers that had another, and of numbers
        whose card is behind another now. Raises Aborted if another list has one of them too."""
        by_number = {each.number_hash: each for each in listed}
        by_card = {each.card_hash: each for each in listed}
        present = await store.lock_sims(connection, by_number.keys(), by_card.keys())
        gone = [
            sim
            for sim in present
            if any(
                sim.is_other_than(each)
                for each in (by_number.get(sim.number_hash), by_card.get(sim.card_hash))
                if each is not None
            )
        ]
        await self._swap(connection, gone, [sim.number_hash for sim in gone], caller)
        kept = {sim.number_hash for sim in present} - {sim.number_hash for sim in gone}
        now = self._clock()
        added = [
            Sim(
                id=str(uuid7(now, self._randomness)),
                number_hash=each.number_hash,
                card_hash=each.card_hash,
                public_key=each.public_key,
                create_time=now,
            )
            for each in listed
            if each.number_hash not in kept
        ]
        try:
            await store.add_sims(connection, added)
        except Taken:
            raise Aborted("another list with the same numbers came in at the same time") from None

    async def report_swap(
        self, connection: AsyncConnection, number_hashes: Collection[str], caller: Caller
    ) -> None:
        """End the phones of these numbers, and forget their cards until a list has them again."""
        gone = await store.lock_sims(connection, number_hashes)
        await self._swap(connection, gone, number_hashes, caller)

    async def _swap(
        self,
        connection: AsyncConnection,
        gone: Sequence[Sim],
        number_hashes: Collection[str],
        caller: Caller,
    ) -> None:
        phones = await store.list_by_numbers(connection, number_hashes)
        await self._ending.end(connection, phones, PhoneNoticeKind.SWAPPED, caller.subject)
        await store.delete_sims(connection, gone)
