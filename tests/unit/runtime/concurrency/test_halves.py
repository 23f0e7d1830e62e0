"""A call that fails as a whole is made again in halves, until each bad question fails alone."""

from __future__ import annotations

from collections.abc import Sequence

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.runtime.concurrency.halves import EXTRA_CALLS, ask_in_halves
from services.runtime.errors import DeadlineExceeded, Unavailable


class Asked:
    """Doubles numbers; fails over any call with a bad one in it."""

    def __init__(self, bad: set[int], error: Exception) -> None:
        self.bad = bad
        self.error = error
        self.calls = 0

    async def __call__(self, part: Sequence[int]) -> list[int]:
        self.calls += 1
        if self.bad & set(part):
            raise self.error
        return [2 * number for number in part]


@given(st.sets(st.integers(0, 999), max_size=3))
async def test_only_bad_questions_fail(bad: set[int]) -> None:
    asked = Asked(bad, RuntimeError())
    found = await ask_in_halves(asked, range(1_000), failed=lambda _error: -1)
    assert found == [-1 if number in bad else 2 * number for number in range(1_000)]


async def test_further_calls_are_bounded() -> None:
    asked = Asked(set(range(1_000)), RuntimeError())
    found = await ask_in_halves(asked, range(1_000), failed=lambda _error: -1)
    assert found == [-1] * 1_000
    assert asked.calls <= EXTRA_CALLS + 1


@pytest.mark.parametrize("error", [Unavailable("away"), DeadlineExceeded("late")])
async def test_a_neighbour_that_is_away_is_not_asked_again(error: Exception) -> None:
    asked = Asked({1}, error)
    with pytest.raises(type(error)):
        await ask_in_halves(asked, range(10), failed=lambda _error: -1)
    assert asked.calls == 1


def refusal(code: grpc.StatusCode) -> grpc.aio.AioRpcError:
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata())


@pytest.mark.parametrize(
    "code",
    [grpc.StatusCode.INTERNAL, grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.UNKNOWN],
    ids=lambda code: code.name,
)
async def test_a_refusal_over_a_question_is_that_questions(code: grpc.StatusCode) -> None:
    found = await ask_in_halves(Asked({1}, refusal(code)), range(4), failed=lambda _error: -1)
    assert found == [0, -1, 4, 6]


@pytest.mark.parametrize(
    "code",
    [grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED],
    ids=lambda code: code.name,
)
async def test_a_refusal_of_the_call_is_not_asked_again(code: grpc.StatusCode) -> None:
    asked = Asked({1}, refusal(code))
    with pytest.raises(grpc.aio.AioRpcError):
        await ask_in_halves(asked, range(10), failed=lambda _error: -1)
    assert asked.calls == 1


async def test_answers_are_kept_where_the_neighbour_goes_away_meanwhile() -> None:
    async def ask(part: Sequence[int]) -> list[int]:
        if len(part) == 4:
            raise RuntimeError
        if 3 in part:
            raise Unavailable("away")
        return [2 * number for number in part]

    found = await ask_in_halves(ask, range(4), failed=lambda _error: -1)
    assert found == [0, 2, -1, -1]
