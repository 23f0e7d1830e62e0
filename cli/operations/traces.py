"""`qagazsyz traces`: list what the embedded collector has kept, or show one trace."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.errors import REFUSED, Failure
from cli.operations.data_folder import DataFolder
from cli.options import DEFAULT_DATA, Data, Json
from cli.terminal import plain, say

if TYPE_CHECKING:
    from opentelemetry.proto.common.v1 import common_pb2

# Characters of the longest bar of the waterfall.
BAR_WIDTH = 32
ERROR = 2


@dataclass(frozen=True, slots=True)
class Span:
    """One span of the file; times in nanoseconds since 1970."""

    trace_id: str
    span_id: str
    parent_id: str
    service: str
    name: str
    start: int
    end: int
    failed: bool
    attributes: dict[str, str]

    @property
    def milliseconds(self) -> float:
        return (self.end - self.start) / 1e6


def read_spans(folder: Path) -> list[Span]:
    """Read all spans of the collector's folder, oldest export first."""
    from cli.operations.collector import read_requests

    spans: list[Span] = []
    for request in read_requests(folder):
        for resource in request.resource_spans:
            service = _attributes(resource.resource.attributes).get("service.name", "?")
            for scope in resource.scope_spans:
                spans.extend(
                    Span(
                        trace_id=span.trace_id.hex(),
                        span_id=span.span_id.hex(),
                        parent_id=span.parent_span_id.hex(),
                        service=service,
                        name=span.name,
                        start=span.start_time_unix_nano,
                        end=span.end_time_unix_nano,
                        failed=span.status.code == ERROR,
                        attributes=_attributes(span.attributes),
                    )
                    for span in scope.spans
                )
    return spans


def _attributes(pairs: Iterable[common_pb2.KeyValue]) -> dict[str, str]:
    values = {}
    for pair in pairs:
        kind = pair.value.WhichOneof("value")
        values[pair.key] = str(getattr(pair.value, kind)) if kind else ""
    return values


def traces(
    trace_id: Annotated[
        str, typer.Argument(help="A trace's id, or its beginning; all recent ones if not given.")
    ] = "",
    data: Data = DEFAULT_DATA,
    limit: Annotated[int, typer.Option(min=1, help="How many recent traces to list.")] = 20,
    name: Annotated[str, typer.Option(help="Only traces with a span named so, in part.")] = "",
    json: Json = False,
) -> None:
    """List recent traces, or show one as a waterfall."""
    folder = DataFolder(data)
    if not folder.traces.is_dir():
        raise Failure(f"no traces in {data}: has qagazsyz up run there?")
    by_trace: dict[str, list[Span]] = defaultdict(list)
    for span in read_spans(folder.traces):
        by_trace[span.trace_id].append(span)
    if not trace_id:
        _list(by_trace, limit, name, as_machine_json=json)
        return
    matching = [found for found in by_trace if found.startswith(trace_id.lower())]
    if len(matching) != 1:
        problem = "no trace has this id" if not matching else "more than one trace begins so"
        raise Failure(problem, REFUSED)
    _waterfall(by_trace[matching[0]], as_machine_json=json)


def _list(by_trace: dict[str, list[Span]], limit: int, name: str, *, as_machine_json: bool) -> None:
    from cli.output import print_rows

    chosen = [spans for spans in by_trace.values() if any(name in span.name for span in spans)]
    chosen.sort(key=lambda spans: min(span.start for span in spans), reverse=True)
    rows = []
    for spans in chosen[:limit]:
        start = min(span.start for span in spans)
        length = (max(span.end for span in spans) - start) / 1e6
        call = max((s for s, depth in in_order(spans) if not depth), key=lambda s: s.milliseconds)
        rows.append(
            (
                spans[0].trace_id,
                datetime.fromtimestamp(start / 1e9, UTC).isoformat(timespec="milliseconds"),
                call.name,
                f"{length:.1f}",
                str(len(spans)),
                "error" if any(span.failed for span in spans) else "ok",
            )
        )
    columns = ("trace", "time", "call", "ms", "spans", "result")
    if not as_machine_json:
        # For people: enough of the id to ask for the trace, and a call's name on one line.
        rows = [(row[0][:12], row[1][11:23], _short(row[2]), *row[3:]) for row in rows]
    print_rows("Recent traces", columns, rows, as_machine_json=as_machine_json)


def _short(name: str) -> str:
    """Return a method without its package: "DocumentService/GetDocument"."""
    service, slash, method = name.rpartition("/")
    return service.rpartition(".")[2] + slash + method


def in_order(spans: Sequence[Span]) -> list[tuple[Span, int]]:
    """Return the spans with their depth: parents before children, siblings by their start."""
    known = {span.span_id for span in spans}
    children: dict[str, list[Span]] = defaultdict(list)
    for span in spans:
        children[span.parent_id if span.parent_id in known else ""].append(span)
    ordered: list[tuple[Span, int]] = []
    waiting = [(span, 0) for span in sorted(children[""], key=lambda s: s.start, reverse=True)]
    while waiting:
        span, depth = waiting.pop()
        ordered.append((span, depth))
        below = sorted(children[span.span_id], key=lambda s: s.start, reverse=True)
        waiting.extend((child, depth + 1) for child in below)
    return ordered


def _waterfall(spans: Sequence[Span], *, as_machine_json: bool) -> None:
    if as_machine_json:
        from dataclasses import asdict
        from json import dumps

        for span, depth in in_order(spans):
            say(dumps({**asdict(span), "depth": depth}, ensure_ascii=False))
        return
    from rich.table import Table
    from rich.text import Text

    from cli.output import console

    first = min(span.start for span in spans)
    length = max(max(span.end for span in spans) - first, 1)
    table = Table(title=f"Trace {spans[0].trace_id}, {length / 1e6:.1f} ms", title_justify="left")
    for column in ("span", "service", "from ms", "ms"):
        table.add_column(column, justify="right" if "ms" in column else "left")
    table.add_column("", width=BAR_WIDTH)
    table.add_column("what")
    for one in table.columns:  # a span a line: what does not fit is cut
        one.no_wrap, one.overflow = True, "ellipsis"
    for span, depth in in_order(spans):
        left = int((span.start - first) / length * BAR_WIDTH)
        width = max(1, round((span.end - span.start) / length * BAR_WIDTH))
        bar = Text(" " * left + "━" * min(width, BAR_WIDTH - left or 1))
        bar.stylize("red" if span.failed else "green")
        table.add_row(
            Text(plain("  " * depth + _short(span.name))),
            Text(plain(span.service.removeprefix("qagazsyz-"))),
            f"{(span.start - first) / 1e6:.1f}",
            f"{span.milliseconds:.1f}",
            bar,
            Text(plain(_what(span))),
        )
    console().print(table)


def _what(span: Span) -> str:
    """Return the attributes worth a line: counts, codes, the beginning of the statement."""
    shown = [
        f"{key.removeprefix('qagazsyz.')}={value}"
        for key, value in span.attributes.items()
        if key.startswith("qagazsyz.") and key != "qagazsyz.many"
    ]
    code = span.attributes.get("rpc.grpc.status_code") or span.attributes.get("http.status_code")
    if code:
        shown.append(f"status={code}")
    statement = span.attributes.get("db.query.text", "")
    if statement:
        shown.append(" ".join(statement.split())[:80])
    return ", ".join(shown)
