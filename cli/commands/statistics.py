"""`qagazsyz statistics`: how electronic the services are, as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from cli.options import DEFAULT_GATEWAY, Gateway, Json

if TYPE_CHECKING:
    from qagazsyz.requests.v1 import statistics_pb2

# What the founding paper sets as its goal: 80 % of the services electronic.
GOAL_PERCENT = 80


def statistics(
    first: Annotated[str, typer.Option("--from", help="The first month, 2026-10.")] = "",
    last: Annotated[str, typer.Option("--to", help="The last month.")] = "",
    by: Annotated[
        list[str] | None,
        typer.Option(help="public_service, provider, month or channel; at most two."),
    ] = None,
    gateway: Gateway = DEFAULT_GATEWAY,
    json: Json = False,
) -> None:
    """Print what ended in whole months, and the share of it that was electronic.

    Groups of one service, channel and month with fewer than five people are in no count.
    """
    from cli.connection import TIMEOUT_SECONDS, anonymous
    from cli.output import print_rows
    from qagazsyz.requests.v1 import statistics_pb2, statistics_pb2_grpc

    group_by = by if by is not None else ["public_service", "month"]
    with anonymous(gateway) as channel:
        answer = statistics_pb2_grpc.StatisticsServiceStub(channel).ComputeServiceStatistics(
            statistics_pb2.ComputeServiceStatisticsRequest(
                first_month=first, last_month=last, group_by=group_by
            ),
            timeout=TIMEOUT_SECONDS,
        )
    counted = ("ended", "electronic", "of 80 %", "in time", "refused", "looked up", "p50")
    columns = (*group_by, *counted)
    rows = [row_of(each, group_by) for each in answer.groups]
    print_rows("Services that ended", columns, rows, as_machine_json=json)


def row_of(counts: statistics_pb2.ServiceStatistics, group_by: list[str]) -> tuple[str, ...]:
    """Return a row of the table: counts with shares of what ended."""
    median = f"{counts.p50_seconds:.0f} s" if counts.HasField("p50_seconds") else ""
    return (
        *(counts.group[each] for each in group_by),
        str(counts.ended_count),
        f"{share(counts.electronic_count, counts.ended_count):.1f} %",
        bar(share(counts.electronic_count, counts.ended_count)),
        f"{share(counts.in_time_count, counts.ended_count):.1f} %",
        str(counts.refused_count),
        str(counts.looked_up_count),
        median,
    )


def share(part: int, of: int) -> float:
    """Return a share in percent."""
    return 100 * part / of


def bar(percent: float) -> str:
    """Return a share as ten cells, with the goal's mark behind the eighth."""
    cells = ["█" if percent >= 10 * number + 5 else "░" for number in range(10)]
    return "".join(cells[: GOAL_PERCENT // 10]) + "|" + "".join(cells[GOAL_PERCENT // 10 :])
