"""Cache answers about certificates, and ask about each certificate once.

The unknown certificates of a call go out together, in few requests. A certificate that another call
is already asking about is not asked about again: both wait for one answer (single-flight). Answers
are kept by the certificate's SHA-256 while they are fresh, in an LRU cache.

runtime's SingleFlight has one task a key. Here one request answers for up to a thousand keys, so
the keys share its task; a task each would cost ten times as much as the look-up itself.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Generic, TypeVar

from cachetools import LRUCache

from services.runtime.clock import Clock
from services.runtime.errors import DeadlineExceeded, Unavailable

A = TypeVar("A")

# The contract's limit: certificates in one request to identity.
CERTIFICATES_CHUNK = 1_000
# Later than this, INDETERMINATE at once is of more use to a caller than the answer.
ANSWER_SECONDS = 3.0
# Two milliseconds of the event loop; more certificates are hashed on a thread.
HASHED_ON_LOOP = 1_000


class CoalescingCache(Generic[A]):
    """Answers to one question about certificates."""

    def __init__(
        self,
        fetch: Callable[[Sequence[bytes]], Awaitable[Sequence[A]]],
        *,
        is_fresh: Callable[[A, datetime], bool],
        fallback: A,
        size: int,
        clock: Clock,
    ) -> None:
        """fetch: returns one answer a certificate, in order, for at most CERTIFICATES_CHUNK.
        fallback: the answer if fetch raises Unavailable or DeadlineExceeded, or takes longer than
        ANSWER_SECONDS; never cached. size: entries of the cache.
        """
        self._fetch = fetch
        self._is_fresh = is_fresh
        self._fallback = fallback
        self._clock = clock
        self._answers: LRUCache[bytes, A] = LRUCache(size)
        self._under_way: dict[bytes, asyncio.Task[Mapping[bytes, A]]] = {}

    async def get_many(self, certificates: Sequence[bytes]) -> list[A]:
        """Return one answer for each certificate, in order."""
        if not certificates:
            return []
        if len(certificates) <= HASHED_ON_LOOP:
            digests = _digests(certificates)
        else:
            loop = asyncio.get_running_loop()
            digests = await loop.run_in_executor(None, _digests, certificates)
        now = self._clock()
        known: dict[bytes, A] = {}
        missing: dict[bytes, bytes] = {}
        waiting: set[asyncio.Task[Mapping[bytes, A]]] = set()
        for digest, der in zip(digests, certificates, strict=True):
            if digest in known or digest in missing:
                continue
            cached = self._answers.get(digest)
            if cached is not None and self._is_fresh(cached, now):
                known[digest] = cached
            elif digest in self._under_way:
                waiting.add(self._under_way[digest])
            else:
                missing[digest] = der
        waiting |= self._start(missing)
        for task in waiting:
            # Shielded: a caller that gives up must not end the request for the others.
            known |= await asyncio.shield(task)
        return [known[digest] for digest in digests]

    def _start(self, missing: Mapping[bytes, bytes]) -> set[asyncio.Task[Mapping[bytes, A]]]:
        tasks = set()
        digests = list(missing)
        for start in range(0, len(digests), CERTIFICATES_CHUNK):
            chunk = {
                digest: missing[digest] for digest in digests[start : start + CERTIFICATES_CHUNK]
            }
            task = asyncio.create_task(self._ask(chunk))
            self._under_way |= dict.fromkeys(chunk, task)
            tasks.add(task)
        return tasks

    async def _ask(self, certificates: Mapping[bytes, bytes]) -> Mapping[bytes, A]:
        try:
            found = await within_time(self._fetch(list(certificates.values())))
        finally:
            for digest in certificates:
                del self._under_way[digest]
        if found is None:
            return dict.fromkeys(certificates, self._fallback)
        answers = dict(zip(certificates, found, strict=True))
        now = self._clock()
        for digest, answer in answers.items():
            if self._is_fresh(answer, now):
                self._answers[digest] = answer
            else:
                self._answers.pop(digest, None)
        return answers


def _digests(certificates: Sequence[bytes]) -> list[bytes]:
    return [hashlib.sha256(der).digest() for der in certificates]


async def within_time(answer: Awaitable[Sequence[A]]) -> Sequence[A] | None:
    """Return the answer, or None if it is unavailable or takes longer than ANSWER_SECONDS."""
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            return await answer
    except (Unavailable, DeadlineExceeded, TimeoutError):
        return None
