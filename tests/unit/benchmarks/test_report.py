"""Figures are compared with their goals."""

from __future__ import annotations

from benchmarks.report import Figure


def test_a_figure_is_reached_on_its_side_of_the_goal() -> None:
    assert Figure("a floor", 2, at_least=2).reached
    assert not Figure("a floor", 1.9, at_least=2).reached
    assert Figure("a ceiling", 2, at_most=2).reached
    assert not Figure("a ceiling", 2.1, at_most=2).reached
