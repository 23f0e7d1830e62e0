"""Questions of many callers asked in one call.

While calls are under way, what is asked meanwhile gathers and goes out together
in the next one; when nothing is going on a question goes out at once. So one
caller alone waits for nobody, and many callers share the price of a call.

Where a call has a high price, whoever asks says how many questions are worth
one. Fewer do not go out beside another call; and behind another call they wait
a moment for those who were just answered, who come again. Otherwise thirty
callers, each with one question at a time, stay a handful of small crowds that
pay the whole price each.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from services.runtime.server import Call

Q = TypeVar("Q")
A = TypeVar("A")

# How long a crowd is waited for: about what an answer and the next question take on their way.
GATHER_SECONDS = 0.010


@dataclass(frozen=True, slots=True)
class _Waiting(Generic[Q, A]):
    questions: Sequence[Q]
    during: Call | None
    answers: asyncio.Future[list[A]]


class Gathering(Generic[Q, A]):
    """Asks for all callers; ask_all answers one answer a question, in order."""

    def __init__(
        self,
        ask_all: Callable[[Sequence[Q], Call | None], Awaitable[Sequence[A]]],
        *,
        limit: int,
        flights: int,
        worth: int = 1,
    ) -> None:
        self._ask_all = ask_all
        # Calls under way at once. One would leave the callee idle while its answer travels.
        self._flights_limit = flights
        # Questions that one call may carry.
        self._limit = limit
        # Questions that are worth a call of their own.
        self._worth = worth
        self._waiting: list[_Waiting[Q, A]] = []
        self._flights: set[asyncio.Task[None]] = set()
        # Questions that wait, that the last call carried, and that are likely to wait soon: those
        # answered last come again, beside those who waited meanwhile.
        self._count = 0
        self._carried = 0
        self._expected = 0
        self._patience: asyncio.TimerHandle | None = None

    async def ask(self, questions: Sequence[Q], during: Call | None) -> list[A]:
        """An answer to each question, in order. Raises what the shared call raised."""
        if len(questions) > self._limit:
            parts = [
                self.ask(questions[i : i + self._limit], during)
                for i in range(0, len(questions), self._limit)
            ]
            return [answer for part in await asyncio.gather(*parts) for answer in part]
        if not questions:
            return []
        waiting: _Waiting[Q, A] = _Waiting(
            questions, during, asyncio.get_running_loop().create_future()
        )
        self._waiting.append(waiting)
        self._count += len(questions)
        self._look()
        return await waiting.answers

    def _look(self) -> None:
        """Sends out what waits, if it is to go now."""
        if not self._waiting or len(self._flights) >= self._flights_limit:
            return
        if self._count >= (self._worth if self._flights else min(self._worth, self._expected)):
            self._take_off()
        elif not self._flights and self._patience is None:
            loop = asyncio.get_running_loop()
            self._patience = loop.call_later(GATHER_SECONDS, self._take_off)

    def _take_off(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
        # It sets out in the loop's next turn: what else is asked in this one goes along.
        flight = asyncio.create_task(self._fly())
        self._flights.add(flight)
        flight.add_done_callback(self._landed)

    def _landed(self, flight: asyncio.Task[None]) -> None:
        self._flights.discard(flight)
        self._expected = self._carried + self._count
        self._look()

    async def _fly(self) -> None:
        group: list[_Waiting[Q, A]] = []
        count = 0
        while self._waiting and count + len(self._waiting[0].questions) <= self._limit:
            waiting = self._waiting.pop(0)
            self._count -= len(waiting.questions)
            if not waiting.answers.done():
                group.append(waiting)
                count += len(waiting.questions)
        if not group:
            return
        self._carried = count
        questions = [question for waiting in group for question in waiting.questions]
        try:
            answers = await self._ask_all(questions, _most_patient(group))
        except Exception as error:
            for waiting in group:
                if not waiting.answers.done():
                    waiting.answers.set_exception(error)
            return
        start = 0
        for waiting in group:
            stop = start + len(waiting.questions)
            if not waiting.answers.done():
                waiting.answers.set_result(list(answers[start:stop]))
            start = stop


def _most_patient(group: Sequence[_Waiting[Q, A]]) -> Call | None:
    """The call whose caller waits longest, which bounds the shared one; None where one waits
    without end."""
    patient, longest = None, float("-inf")
    for waiting in group:
        remaining = waiting.during.time_remaining() if waiting.during is not None else None
        if remaining is None:
            return None
        if remaining > longest:
            patient, longest = waiting.during, remaining
    return patient
