"""Generating key pairs: RSA one at a time, in turn among callers, apart from all other work.

An RSA key takes up to a second of a core, which nothing shortens: two primes of random are sought.
So one thread of low priority makes them, and callers wait in a queue in which each has few places
and each caller's next key comes after one of everybody else's (round robin).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from services.runtime.concurrency.worker_pool import WorkerPool
from services.runtime.errors import ResourceExhausted
from services.signing.keys.private_keys import KeyPair, generate
from services.signing.worker_pools import RSA_KEYS, SIGNING
from signatures.algorithms import SCHEMES, Algorithm, KeyKind

# Callers that wait for an RSA key, of one owner and of all: seconds of one core each.
WAITING_OF_ONE = 4
WAITING_OF_ALL = 16
RETRY_AFTER_SECONDS = 5.0


class KeyGenerator:
    """Generates key pairs. Used from one event loop."""

    def __init__(
        self,
        *,
        make: Callable[[Algorithm], KeyPair] = generate,
        rsa_pool: WorkerPool = RSA_KEYS,
    ) -> None:
        self._make = make
        self._rsa_pool = rsa_pool
        self._busy = False
        # Who waits, by owner, the owner whose turn is next first.
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}

    async def generate(self, algorithm: Algorithm, *, owner: str) -> KeyPair:
        """Return a new key pair. owner: who shares the queue's places and turns. Raises
        ResourceExhausted if the owner's places or all are taken."""
        if SCHEMES[algorithm].key is not KeyKind.RSA:
            return await SIGNING.run(self._make, algorithm)
        await self._turn(owner)
        try:
            return await self._rsa_pool.run(self._make, algorithm)
        finally:
            self._pass_on()

    async def _turn(self, owner: str) -> None:
        if not self._busy:
            self._busy = True
            return
        turn = self._enter(owner)
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():
                # It was this call's turn already.
                self._pass_on()
            elif turn in self._waiting.get(owner, ()):
                self._leave(owner, turn)
            raise

    def _enter(self, owner: str) -> asyncio.Future[None]:
        own = len(self._waiting.get(owner, ()))
        if own >= WAITING_OF_ONE:
            raise _busy()
        if sum(map(len, self._waiting.values())) >= WAITING_OF_ALL:
            longest = max(self._waiting, key=lambda name: len(self._waiting[name]))
            if len(self._waiting[longest]) <= own + 1:
                raise _busy()
            # The newest call of the owner with most makes room.
            evicted = self._waiting[longest][-1]
            self._leave(longest, evicted)
            if not evicted.done():
                evicted.set_exception(_busy())
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(owner, deque()).append(turn)
        return turn

    def _leave(self, owner: str, turn: asyncio.Future[None]) -> None:
        self._waiting[owner].remove(turn)
        if not self._waiting[owner]:
            del self._waiting[owner]

    def _pass_on(self) -> None:
        """Give the turn to the next owner's oldest call."""
        if not self._waiting:
            self._busy = False
            return
        owner, turns = next(iter(self._waiting.items()))
        turn = turns[0]
        self._leave(owner, turn)
        if owner in self._waiting:
            # To the end.
            self._waiting[owner] = self._waiting.pop(owner)
        if turn.done():
            # Cancelled, and not yet awake to leave.
            self._pass_on()
        else:
            turn.set_result(None)


def _busy() -> ResourceExhausted:
    return ResourceExhausted("too many RSA keys are being made at once", RETRY_AFTER_SECONDS)
