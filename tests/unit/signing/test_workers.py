"""When several signing processes are given up, judged by how long they lived."""

from __future__ import annotations

from services.signing.workers import STARTS_EACH, STEADY_SECONDS, EarlyDeaths


def test_workers_that_only_die_are_given_up_once_each_had_its_starts() -> None:
    deaths = EarlyDeaths(workers=2)
    found = [deaths.add([1.0, 0.5]) for _ in range(2 * STARTS_EACH)]
    assert found == [False] * (2 * STARTS_EACH - 1) + [True]


def test_one_that_lives_on_keeps_the_others_being_started() -> None:
    deaths = EarlyDeaths(workers=2)
    assert not any(deaths.add([1.0, STEADY_SECONDS]) for _ in range(100))


def test_one_that_had_lived_begins_the_count_anew() -> None:
    deaths = EarlyDeaths(workers=1)
    for age in (1.0, 1.0, STEADY_SECONDS, 1.0, 1.0):
        assert not deaths.add([age])
    assert deaths.add([1.0])
