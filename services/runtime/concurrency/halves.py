"""Ask again in halves what was refused as a whole.

Many callers' questions go to a neighbour in one call. If the neighbour fails over one of them, the
call fails for all; asked again in halves, the failure ends up with the question that causes it.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from services.runtime.errors import DeadlineExceeded, Unavailable

log = logging.getLogger(__name__)

Q = TypeVar("Q")
A = TypeVar("A")

# Further calls for one that failed: enough for three bad questions among a thousand. What is left
# undivided then has failed as a whole.
EXTRA_CALLS = 64


async def ask_in_halves(
    ask: Callable[[Sequence[Q]], Awaitable[Sequence[A]]],
    questions: Sequence[Q],
    *,
    failed: Callable[[Exception], A],
) -> list[A]:
    """Return an answer to each question, in order: what ask answers, or failed(error) for one that
    it fails over alone.

    Raises Unavailable and DeadlineExceeded as ask does: those are about the call, not a question.
    """
    left = EXTRA_CALLS

    async def answer(part: Sequence[Q]) -> list[A]:
        nonlocal left
        try:
            return list(await ask(part))
        except (Unavailable, DeadlineExceeded):
            raise
        except Exception as error:
            if len(part) == 1 or left < 2:
                log.error(
                    "a question failed",
                    extra={"exception": type(error).__name__, "questions": len(part)},
                )
                return [failed(error) for _ in part]
            left -= 2
            middle = len(part) // 2
            return [*await answer(part[:middle]), *await answer(part[middle:])]

    return await answer(questions)
