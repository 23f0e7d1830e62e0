"""The contract's messages of statistics."""

from __future__ import annotations

from qagazsyz.requests.v1 import statistics_pb2 as pb
from services.requests.model.statistics import Counts


def counts_message(counts: Counts) -> pb.ServiceStatistics:
    """Return the counts of one group."""
    return pb.ServiceStatistics(
        group=dict(counts.group),
        ended_count=counts.ended,
        electronic_count=counts.electronic,
        proactive_count=counts.proactive,
        in_time_count=counts.in_time,
        refused_count=counts.refused,
        looked_up_count=counts.looked_up,
        p50_seconds=counts.p50_seconds,
        p90_seconds=counts.p90_seconds,
    )
