"""The table of statistics."""

from __future__ import annotations

from cli.commands.statistics import bar, row_of
from qagazsyz.requests.v1 import statistics_pb2


def test_a_row_has_shares_of_what_ended() -> None:
    counts = statistics_pb2.ServiceStatistics(
        group={"month": "2026-10"},
        ended_count=40,
        electronic_count=33,
        in_time_count=40,
        refused_count=2,
        looked_up_count=70,
        p50_seconds=61.0,
    )
    assert row_of(counts, ["month"]) == (
        "2026-10",
        "40",
        "82.5 %",
        "████████|░░",
        "100.0 %",
        "2",
        "70",
        "61 s",
    )


def test_the_bar_marks_the_goal() -> None:
    assert bar(0) == "░░░░░░░░|░░"
    assert bar(79) == "████████|░░"
    assert bar(100) == "████████|██"
