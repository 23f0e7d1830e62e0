"""Hand stored messages to the network, in order for each number, and record what it answers.

A part is marked as handed over, and that committed, before it goes. Its answer is committed before
the number's next part goes. So a kill at any moment leaves each part in one of three states: not
handed over, and it goes; answered, and it does not; handed over without an answer. The last goes
again with the same bytes, and its message says `maybe_twice`.

At most `window` parts are with the network at once, one of each number, and `rate` a second go out.
If the network says that it is too fast, nothing goes for a pause that doubles up to half a minute:
what waits keeps its order.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncConnection

from services.messaging.outbox import store
from services.messaging.outbox.rules import (
    RECEIPTS_WITHIN,
    DuePart,
    MessageState,
    split,
    validity_period,
)
from services.messaging.privacy.letters import Letter
from services.messaging.privacy.vault import Vault
from services.messaging.smpp.link import Answer, Link, Step, Submission, Verdict, no_step
from services.messaging.sms.receipts import Receipt, id_spellings
from services.runtime.clock import Clock
from services.runtime.storage.database import Database

log = logging.getLogger(__name__)

# After a failure that may pass, a message is tried again; its number's others wait with it.
RETRY_AFTER = timedelta(seconds=5)
# Pauses after the network said that it is too fast.
FIRST_THROTTLE_SECONDS, LAST_THROTTLE_SECONDS = 1.0, 30.0
# Without a wake-up, the sender looks this often: for what was stored by another process.
LOOK_EVERY_SECONDS = 1.0
# After a round that failed, the database being away.
FAILED_ROUND_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Limits:
    """How fast messages go, and how long they are kept."""

    # Parts with the network at once.
    window: int
    # Parts a second.
    rate: float
    # How long a message is kept after it ended.
    keep: timedelta


class Budget:
    """A token bucket: so many parts a second, a second's worth at once at most."""

    def __init__(self, rate: float, seconds: Callable[[], float]) -> None:
        self._rate = rate
        self._seconds = seconds
        self._room = max(rate, 1.0)
        self._filled = seconds()

    def available(self) -> int:
        """Return how many parts may go now."""
        now = self._seconds()
        self._room = min(max(self._rate, 1.0), self._room + (now - self._filled) * self._rate)
        self._filled = now
        return int(self._room)

    def spend(self, parts: int) -> None:
        self._room -= parts

    def wait(self) -> float:
        """Return the seconds until a part may go."""
        return max(0.0, (1.0 - self._room) / self._rate)


class Sender:
    """The one sender of a database's outbox."""

    def __init__(
        self,
        *,
        database: Database,
        vault: Vault,
        limits: Limits,
        default_is_gsm: bool,
        clock: Clock,
        seconds: Callable[[], float],
        step: Step = no_step,
    ) -> None:
        """seconds: a monotonic clock. default_is_gsm: see parts.py."""
        self._database = database
        self._vault = vault
        self._limits = limits
        self._default_is_gsm = default_is_gsm
        self._clock = clock
        self._seconds = seconds
        self._step = step
        self._budget = Budget(limits.rate, seconds)
        self._woken = asyncio.Event()
        self._is_connected = False
        # Messages whose part is with the link.
        self._with_link: set[int] = set()
        self._answers: list[Answer] = []
        self._unanswered: list[int] = []
        self._unsent: list[int] = []
        self._held_until = float("-inf")
        self._pause = FIRST_THROTTLE_SECONDS

    @property
    def is_connected(self) -> bool:
        """Whether the network takes messages now."""
        return self._is_connected

    def wake(self) -> None:
        """Look for messages now."""
        self._woken.set()

    def connected(self) -> None:
        """Start handing over."""
        self._is_connected = True
        self.wake()

    def answered(self, answer: Answer) -> None:
        """Take an answer of the network, to be recorded by the next round."""
        self._answers.append(answer)
        self.wake()

    def disconnected(self, unanswered: Sequence[int], unsent: Sequence[int]) -> None:
        """Queue again what the link had."""
        self._is_connected = False
        self._unanswered += unanswered
        self._unsent += unsent
        self.wake()

    async def reported(self, phone: str, receipt: Receipt) -> None:
        """Record a receipt durably."""
        outcome = receipt.outcome
        if outcome is None or not receipt.network_id:
            return
        spellings = id_spellings(receipt.network_id)
        phone_hash, now = self._vault.number(phone), self._clock()

        async def work(connection: AsyncConnection) -> None:
            number = await store.record_receipt(connection, spellings, phone_hash, outcome, now)
            if number is not None:
                await store.settle(connection, number, now, self._limits.keep)

        await self._database.run(work)

    async def recover(self) -> None:
        """Queue again what an earlier process had handed over when it ended."""
        await self._database.run(store.free_handed_over)

    async def run(self, link: Link) -> None:
        """Send until cancelled; a round that fails is logged, and the next one is run."""
        while True:
            self._woken.clear()
            try:
                wait = await self._round(link)
            except Exception as error:  # its text may hold personal data
                log.warning("sending failed", extra={"exception": type(error).__name__})
                wait = FAILED_ROUND_SECONDS
            if wait > 0:
                # Not wait_for, which Python 3.11 lets swallow a cancellation.
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(wait):
                        await self._woken.wait()

    async def finish(self) -> None:
        """Record what the link told last, once it has stopped."""
        await self._record()

    async def _round(self, link: Link) -> float:
        """Record answers and hand over what is due; return how long to wait for the next round."""
        await self._record()
        held = self._held_until - self._seconds()
        if not self._is_connected or held > 0:
            return held if held > 0 else LOOK_EVERY_SECONDS
        room = min(self._limits.window - len(self._with_link), self._budget.available())
        if room < 1:
            return self._budget.wait() or LOOK_EVERY_SECONDS
        now = self._clock()

        async def take(connection: AsyncConnection) -> tuple[list[DuePart], datetime | None]:
            await store.expire(connection, now, now + self._limits.keep)
            due = await store.take_due(connection, now, room)
            return due, None if due else await store.next_try_after(connection, now)

        due, next_try = await self._database.run(take)
        self._step("marked")
        for part in due:
            self._with_link.add(part.number)
            link.submit(self._submission(part))
        self._budget.spend(len(due))
        if len(due) == room:
            return self._budget.wait() or LOOK_EVERY_SECONDS
        if next_try is not None:
            return min(max((next_try - now).total_seconds(), 0.01), LOOK_EVERY_SECONDS)
        return LOOK_EVERY_SECONDS

    def _submission(self, due: DuePart) -> Submission:
        letter = Letter.from_bytes(self._vault.unseal(due.sealed, record=due.id))
        parts = split(letter, due.reference, default_is_gsm=self._default_is_gsm)
        return Submission(
            due.number, due.source, letter.phone, parts[due.part], validity_period(due.expire_time)
        )

    async def _record(self) -> None:
        """Commit what the link has told."""
        answers, unanswered, unsent = self._answers[:], self._unanswered[:], self._unsent[:]
        if not answers and not unanswered and not unsent:
            return
        now = self._clock()
        throttled = [a.key for a in answers if a.verdict is Verdict.THROTTLED]
        failed = [a.key for a in answers if a.verdict is Verdict.FAILED]
        refused = [a.key for a in answers if a.verdict is Verdict.REFUSED]
        taken = [a for a in answers if a.verdict is Verdict.TAKEN]
        keep = self._limits.keep

        async def work(connection: AsyncConnection) -> None:
            for answer in taken:
                await store.record_taken(connection, answer.key, answer.network_id, now)
                # Receipts that came before.
                await store.settle(connection, answer.key, now, keep)
            await store.put_back(connection, [*throttled, *unsent], now)
            await store.put_back(connection, failed, now + RETRY_AFTER)
            await store.end(connection, refused, MessageState.UNDELIVERABLE, now + keep)
            await store.free_handed_over(connection, unanswered)

        await self._database.run(work)
        self._step("recorded")
        del self._answers[: len(answers)]
        del self._unanswered[: len(unanswered)]
        del self._unsent[: len(unsent)]
        self._with_link -= {a.key for a in answers}
        self._with_link -= {*unanswered, *unsent}
        if throttled:
            self._held_until = self._seconds() + self._pause
            self._pause = min(2 * self._pause, LAST_THROTTLE_SECONDS)
        elif taken:
            self._pause = FIRST_THROTTLE_SECONDS

    async def erase(self) -> None:
        """Expire what is past its time, and delete what was kept long enough."""
        now = self._clock()

        async def work(connection: AsyncConnection) -> tuple[int, int]:
            expired = await store.expire(connection, now, now + self._limits.keep)
            return expired, await store.erase(connection, now, now - RECEIPTS_WITHIN)

        _, erased = await self._database.run(work)
        if erased:
            await self._database.purge_deleted()
