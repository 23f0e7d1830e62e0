"""What is asked about certificates, asked once: answers are kept while they are fresh.

All certificates of a call that nothing is known of are asked about together,
and whoever needs an answer that is being waited for already waits with the
others. Answers are kept by the certificate's SHA-256, a bounded number of them,
the oldest forgotten first.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Generic, TypeVar

from services.runtime.errors import DeadlineExceeded, Unavailable

A = TypeVar("A")

# Certificates that identity takes in one call.
ASKED_AT_ONCE = 1_000
# A verdict that comes later is of less use than INDETERMINATE now.
ANSWER_SECONDS = 3.0
# Two milliseconds' worth; more are hashed on a thread.
HASHED_ON_LOOP = 1_000


class Inquiry(Generic[A]):
    """One question about certificates, and its answers."""

    def __init__(
        self,
        ask: Callable[[Sequence[bytes]], Awaitable[Sequence[A]]],
        *,
        is_fresh: Callable[[A], bool],
        no_answer: A,
        kept: int,
    ) -> None:
        """ask: about ASKED_AT_ONCE at most, answers in order; raises Unavailable or
        DeadlineExceeded, for which no_answer then stands."""
        self._ask = ask
        self._is_fresh = is_fresh
        self._no_answer = no_answer
        self._limit = kept
        self._kept: dict[bytes, A] = {}
        self._asking: dict[bytes, asyncio.Task[Mapping[bytes, A]]] = {}

    async def about(self, certificates: Sequence[bytes]) -> list[A]:
        """One answer for each certificate, in order."""
        if not certificates:
            return []
        if len(certificates) <= HASHED_ON_LOOP:
            digests = _digests(certificates)
        else:
            loop = asyncio.get_running_loop()
            digests = await loop.run_in_executor(None, _digests, certificates)
        known: dict[bytes, A] = {}
        missing: dict[bytes, bytes] = {}
        waiting: set[asyncio.Task[Mapping[bytes, A]]] = set()
        for digest, der in zip(digests, certificates, strict=True):
            if digest in known or digest in missing:
                continue
            kept = self._kept.get(digest)
            if kept is not None and self._is_fresh(kept):
                known[digest] = kept
            elif digest in self._asking:
                waiting.add(self._asking[digest])
            else:
                missing[digest] = der
        waiting |= self._start_asking(missing)
        for task in waiting:
            # Others may wait for the same answer: a caller that gives up must not end it.
            known |= await asyncio.shield(task)
        return [known[digest] for digest in digests]

    def _start_asking(self, missing: Mapping[bytes, bytes]) -> set[asyncio.Task[Mapping[bytes, A]]]:
        tasks = set()
        digests = list(missing)
        for start in range(0, len(digests), ASKED_AT_ONCE):
            part = {digest: missing[digest] for digest in digests[start : start + ASKED_AT_ONCE]}
            task = asyncio.create_task(self._answers(part))
            self._asking |= dict.fromkeys(part, task)
            tasks.add(task)
        return tasks

    async def _answers(self, certificates: Mapping[bytes, bytes]) -> Mapping[bytes, A]:
        try:
            found = await within_time(self._ask(list(certificates.values())))
        finally:
            for digest in certificates:
                del self._asking[digest]
        if found is None:
            return dict.fromkeys(certificates, self._no_answer)
        answers = dict(zip(certificates, found, strict=True))
        for digest, answer in answers.items():
            # Taken out first, so that the oldest answers stand first.
            self._kept.pop(digest, None)
            if self._is_fresh(answer):
                self._kept[digest] = answer
        while len(self._kept) > self._limit:
            del self._kept[next(iter(self._kept))]
        return answers


def _digests(certificates: Sequence[bytes]) -> list[bytes]:
    return [hashlib.sha256(der).digest() for der in certificates]


async def within_time(answer: Awaitable[Sequence[A]]) -> Sequence[A] | None:
    """The answer, or None where there is none in ANSWER_SECONDS."""
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            return await answer
    except (Unavailable, DeadlineExceeded, TimeoutError):
        return None
