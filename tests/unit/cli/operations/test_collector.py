"""The embedded collector: a bounded file of spans, and the waterfall of a trace."""

from __future__ import annotations

import stat
from pathlib import Path

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from opentelemetry.proto.trace.v1 import trace_pb2

from cli.operations.collector import CURRENT, OLDER, SERVICE, Collector, SpanFile, read_requests
from cli.operations.traces import in_order, read_spans

Export = trace_service_pb2.ExportTraceServiceRequest


def export(*spans: trace_pb2.Span, service: str = "qagazsyz-registry") -> Export:
    request = Export()
    resource = request.resource_spans.add()
    attribute = resource.resource.attributes.add(key="service.name")
    attribute.value.string_value = service
    resource.scope_spans.add().spans.extend(spans)
    return request


def span(number: int, parent: int = 0, *, start: int = 0, name: str = "span") -> trace_pb2.Span:
    return trace_pb2.Span(
        trace_id=bytes(15) + b"\x01",
        span_id=number.to_bytes(8, "big"),
        parent_span_id=parent.to_bytes(8, "big") if parent else b"",
        name=name,
        start_time_unix_nano=start,
        end_time_unix_nano=start + 1_000_000,
    )


def test_spans_are_read_in_the_order_in_which_they_were_appended(tmp_path: Path) -> None:
    file = SpanFile(tmp_path)
    for number in (1, 2, 3):
        file.append(export(span(number)).SerializeToString())
    file.close()
    assert [s.span_id for s in read_spans(tmp_path)] == [f"{n:016x}" for n in (1, 2, 3)]


def test_only_the_owner_may_read_the_file(tmp_path: Path) -> None:
    SpanFile(tmp_path / "traces").close()
    assert stat.S_IMODE((tmp_path / "traces").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "traces" / CURRENT).stat().st_mode) == 0o600


def test_both_files_together_stay_below_twice_the_limit(tmp_path: Path) -> None:
    limit = 2_000
    file = SpanFile(tmp_path, limit)
    for number in range(1, 200):
        file.append(export(span(number)).SerializeToString())
    file.close()
    assert all((tmp_path / name).stat().st_size <= limit for name in (CURRENT, OLDER))
    ids = [s.span_id for s in read_spans(tmp_path)]
    assert ids == sorted(ids)
    assert ids[-1] == f"{199:016x}"


def test_a_collector_that_starts_again_keeps_its_spans(tmp_path: Path) -> None:
    for number in (1, 2):
        file = SpanFile(tmp_path)
        file.append(export(span(number)).SerializeToString())
        file.close()
    assert len(read_spans(tmp_path)) == 2


def test_a_torn_last_record_is_left_out(tmp_path: Path) -> None:
    file = SpanFile(tmp_path)
    for number in (1, 2):
        file.append(export(span(number)).SerializeToString())
    file.close()
    path = tmp_path / CURRENT
    path.write_bytes(path.read_bytes()[:-3])
    assert len(list(read_requests(tmp_path))) == 1


async def test_spans_arrive_over_otlp(tmp_path: Path) -> None:
    collector = Collector(tmp_path / "traces")
    address = f"unix:{tmp_path / 'c'}"
    await collector.start(address)
    async with grpc.aio.insecure_channel(address) as channel:
        method = channel.unary_unary(
            f"/{SERVICE}/Export",
            request_serializer=Export.SerializeToString,
            response_deserializer=trace_service_pb2.ExportTraceServiceResponse.FromString,
        )
        await method(export(span(7, name="qagazsyz.registry.v1.DocumentService/GetDocument")))
    await collector.stop()
    (found,) = read_spans(tmp_path / "traces")
    assert found.name == "qagazsyz.registry.v1.DocumentService/GetDocument"
    assert found.service == "qagazsyz-registry"
    assert found.milliseconds == 1.0


def test_a_waterfall_has_parents_before_children_and_siblings_by_time(tmp_path: Path) -> None:
    file = SpanFile(tmp_path)
    spans = (
        span(3, 1, start=30),
        span(2, 1, start=20),
        span(4, 2, start=25),
        span(1, 9, start=10),  # its parent is the caller's, which is not here
    )
    file.append(export(*spans).SerializeToString())
    file.close()
    found = [(int(s.span_id, 16), depth) for s, depth in in_order(read_spans(tmp_path))]
    assert found == [(1, 0), (2, 1), (4, 2), (3, 1)]
