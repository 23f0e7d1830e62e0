"""Ask again in halves what was refused as a whole.

Many callers' questions go to a neighbour in one call. If the neighbour fails over one of them, the
call fails for all; asked again in halves, the failure ends up with the question that causes it.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import grpc

from services.runtime.errors import DeadlineExceeded, Unavailable

log = logging.getLogger(__name__)

Q = TypeVar("Q")
A = TypeVar("A")

# Further calls for one that failed. A bad question among n takes 2 log2(n) of them, so these are
# enough for three bad ones among a thousand. What is left undivided then has failed as a whole.
EXTRA_CALLS = 64

# What a neighbour answers if it fails over a question. Any other refusal, of a token for example,
# is about the call.
_OVER_A_QUESTION = frozenset(
    {grpc.StatusCode.INTERNAL, grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.UNKNOWN}
)


def is_over_a_question(error: Exception) -> bool:
    """Return whether a call that failed with the error may succeed without one of its questions."""
    if isinstance(error, grpc.aio.AioRpcError):
        return error.code() in _OVER_A_QUESTION
    return not isinstance(error, Unavailable | DeadlineExceeded)


async def ask_in_halves(
    ask: Callable[[Sequence[Q]], Awaitable[Sequence[A]]],
    questions: Sequence[Q],
    *,
    failed: Callable[[Exception], A],
) -> list[A]:
    """Return an answer to each question, in order: what ask answers, or failed(error) for one that
    it fails over alone.

    Raises what the first call does about the call, not a question: Unavailable, DeadlineExceeded,
    and statuses that are no failure over a question. Where a further call does, its part has
    failed, and what other parts were answered is kept.
    """
    left = EXTRA_CALLS

    async def answer(part: Sequence[Q]) -> list[A]:
        nonlocal left
        try:
            return list(await ask(part))
        except Exception as error:
            about_the_call = not is_over_a_question(error)
            if about_the_call and left == EXTRA_CALLS:
                raise
            if about_the_call or len(part) == 1 or left < 2:
                log.error(
                    "a question failed",
                    extra={"exception": type(error).__name__, "questions": len(part)},
                )
                return [failed(error) for _ in part]
            left -= 2
            middle = len(part) // 2
            return [*await answer(part[:middle]), *await answer(part[middle:])]

    return await answer(questions)
