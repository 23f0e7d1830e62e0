"""Configure OpenTelemetry and logging, and make spans; nothing else in the suite does.

There is one span for each call and one for each SQL statement, and none for the items of a batch.
Attributes are names of methods, codes and counts: no value of a caller's gets into a span or a log
line, and so no personal data.

The spans are our own rather than those of opentelemetry-instrumentation-grpc and -sqlalchemy for
two reasons. Those packages record peer addresses and the texts of exceptions, which may hold
personal data; and all their releases are still beta, so what they record may change with each.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import grpc
from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import Span, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine

_tracer = trace.get_tracer("qagazsyz")
_propagator = TraceContextTextMapPropagator()

# The codes that mark a server span as failed, by the semantic conventions for gRPC.
_SERVER_FAULTS = frozenset(
    code.value[0]
    for code in (
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.UNIMPLEMENTED,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DATA_LOSS,
    )
)
# Characters of a statement that a span keeps; the rest of a long one is placeholders.
STATEMENT_LIMIT = 500
# Attributes that logging itself sets on a record; the others were passed by extra=.
_LOG_RECORD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


def configure(service: str, *, endpoint: str, sample_ratio: float, log_level: str) -> None:
    """Export spans to an OTLP/gRPC endpoint (none if ""), and log to stderr as JSON lines."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonLines(service))
    logging.basicConfig(level=log_level.upper(), handlers=[handler], force=True)
    # At INFO it logs each step of each start.
    logging.getLogger("alembic").setLevel(logging.WARNING)
    if endpoint:
        provider = TracerProvider(
            resource=Resource.create({"service.name": f"qagazsyz-{service}"}),
            sampler=ParentBased(TraceIdRatioBased(sample_ratio)),
        )
        exporter = OTLPSpanExporter(endpoint=endpoint, insecure=not endpoint.startswith("https"))
        provider.add_span_processor(BatchSpanProcessor(exporter))
        trace.set_tracer_provider(provider)


def shut_down() -> None:
    """Export the spans that are still buffered."""
    provider = trace.get_tracer_provider()
    if isinstance(provider, TracerProvider):
        provider.shutdown()


class ServerSpan:
    """The span of one call."""

    __slots__ = ("_span",)

    def __init__(self, span: Span) -> None:
        self._span = span

    def failed(self, code: int) -> None:
        """Record the gRPC code that the call ended with, and a fault of ours as an error."""
        self._span.set_attribute("rpc.grpc.status_code", code)
        if code in _SERVER_FAULTS:
            self._span.set_status(Status(StatusCode.ERROR))


@contextmanager
def server_span(method: str, metadata: Mapping[str, str]) -> Iterator[ServerSpan]:
    """Run the block in the span of a call that is answered here, a child of the caller's span."""
    parent = _propagator.extract(metadata, context=otel_context.Context())
    service, _, name = method.partition("/")
    # Not start_as_current_span, whose two context managers cost as much as the rest of the span.
    span = _tracer.start_span(
        method,
        context=parent,
        kind=SpanKind.SERVER,
        attributes={"rpc.system": "grpc", "rpc.service": service, "rpc.method": name},
    )
    token = otel_context.attach(trace.set_span_in_context(span))
    try:
        yield ServerSpan(span)
    finally:
        otel_context.detach(token)
        span.end()


@contextmanager
def client_span(method: str) -> Iterator[dict[str, str]]:
    """Run the block in the span of an outgoing call; yield the headers that propagate the trace."""
    service, _, name = method.strip("/").partition("/")
    with _tracer.start_as_current_span(
        method.strip("/"),
        kind=SpanKind.CLIENT,
        attributes={"rpc.system": "grpc", "rpc.service": service, "rpc.method": name},
        record_exception=False,
    ) as _:
        headers: dict[str, str] = {}
        _propagator.inject(headers)
        yield headers


@contextmanager
def span(name: str, **counts: int) -> Iterator[Span]:
    """Run the block in the span of one step of a call, with counts as "qagazsyz.…" attributes."""
    with _tracer.start_as_current_span(
        name,
        attributes={f"qagazsyz.{key}": value for key, value in counts.items()},
        record_exception=False,
    ) as current:
        yield current


def annotate(**counts: int | str | bool) -> None:
    """Set "qagazsyz.…" attributes on the current span: counts and states, no caller's values."""
    current = trace.get_current_span()
    if current.is_recording():
        for key, value in counts.items():
            current.set_attribute(f"qagazsyz.{key}", value)


def trace_database(engine: AsyncEngine) -> None:
    """Make a span for each statement within a traced call, with placeholders instead of values."""
    system = "sqlite" if engine.dialect.name == "sqlite" else "postgresql"

    def before(
        _connection: Any, _cursor: Any, statement: str, _parameters: Any, context: Any, many: bool
    ) -> None:
        if context is None or not trace.get_current_span().is_recording():
            return
        operation = statement.split(maxsplit=1)[0].upper()
        context.qagazsyz_span = _tracer.start_span(
            operation,
            kind=SpanKind.CLIENT,
            attributes={
                "db.system.name": system,
                "db.operation.name": operation,
                "db.query.text": statement[:STATEMENT_LIMIT],
                "qagazsyz.many": many,
            },
        )

    def after(
        _connection: Any, _cursor: Any, _statement: str, _parameters: Any, context: Any, _many: bool
    ) -> None:
        current = getattr(context, "qagazsyz_span", None)
        if current is not None:
            current.end()

    def failed(context: Any) -> None:
        current = getattr(context.execution_context, "qagazsyz_span", None)
        if current is not None:
            current.set_status(Status(StatusCode.ERROR))
            current.end()

    event.listen(engine.sync_engine, "before_cursor_execute", before)
    event.listen(engine.sync_engine, "after_cursor_execute", after)
    event.listen(engine.sync_engine, "handle_error", failed)


class _JsonLines(logging.Formatter):
    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "service": self._service,
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {key: value for key, value in record.__dict__.items() if key not in _LOG_RECORD}
        if record.exc_info and record.exc_info[0] is not None:
            # Its text may hold personal data.
            line["exception"] = record.exc_info[0].__name__
        current = trace.get_current_span().get_span_context()
        if current.is_valid:
            line["trace_id"] = f"{current.trace_id:032x}"
        return json.dumps(line, ensure_ascii=False, default=str)
