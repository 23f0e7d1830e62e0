"""The access log and the spans of the gateway, which hold no personal data."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.proto.trace.v1 import trace_pb2

from tests.integration.gateway_backend import Backend, Gateway, running, until
from tests.raw_calls import blocking_unary

GET_SUBJECT = "qagazsyz.identity.v1.SubjectService/GetSubject"
# Well-formed, and not assigned.
IIN = "980101300400"
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Collector(trace_service_pb2_grpc.TraceServiceServicer):
    """Receives spans and keeps them."""

    def __init__(self) -> None:
        self.spans: list[trace_pb2.Span] = []
        self.server = grpc.server(ThreadPoolExecutor(2))
        add_servicer: Any = trace_service_pb2_grpc.add_TraceServiceServicer_to_server
        add_servicer(self, self.server)  # it comes without types
        self.address = f"http://127.0.0.1:{self.server.add_insecure_port('127.0.0.1:0')}"
        self.server.start()

    def Export(
        self,
        request: trace_service_pb2.ExportTraceServiceRequest,
        context: grpc.ServicerContext,
    ) -> trace_service_pb2.ExportTraceServiceResponse:
        for resource in request.resource_spans:
            for scope in resource.scope_spans:
                self.spans.extend(scope.spans)
        return trace_service_pb2.ExportTraceServiceResponse()


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_ENDPOINT", raising=False)
    found = Collector()
    yield found
    found.server.stop(None).wait()


@pytest.fixture
def backend() -> Iterator[Backend]:
    found = Backend()
    found.start()
    yield found
    found.stop()


def refuse(request: bytes, context: grpc.ServicerContext) -> bytes:
    context.abort(grpc.StatusCode.INVALID_ARGUMENT, "numbers[0]: has a wrong check digit")
    raise AssertionError


def send_personal_data(gateway: Gateway, backend: Backend) -> list[int]:
    """Make calls of all kinds, each with a personal number in it; return their statuses."""
    backend.answers["/qagazsyz.identity.v1.SubjectService/ResolveSubjects"] = refuse
    backend.answers["/qagazsyz.registry.v1.DocumentService/CheckDocument"] = lambda _, context: (
        context.abort(grpc.StatusCode.UNAVAILABLE, "later")
    )
    good = {"authorization": f"Bearer {backend.token(sub=f'subjects/{IIN}')}"}
    internal = {"authorization": f"Bearer {backend.token(sub=IIN, aud='qagazsyz.internal')}"}
    calls: list[tuple[str, str, dict[str, str], bytes | None]] = [
        ("GET", f"/v1/subjects/{IIN}", good, None),
        ("GET", f"/v1/subjects/{IIN}", {}, None),
        ("GET", f"/v1/subjects/{IIN}", {"authorization": f"Bearer {IIN}"}, None),
        ("GET", f"/v1/subjects/{IIN}", internal, None),
        ("GET", f"/{IIN}?a={IIN}", good, None),
        ("GET", f"/v1/documentTypes?pageToken={IIN}", {"user-agent": IIN}, None),
        ("GET", f"/v1/documentTypes?{IIN}=1", {}, None),
        ("GET", f"/v1/verificationCodes/{IIN}", {"x-forwarded-for": IIN}, None),
        ("POST", "/v1/subjects:resolve", good, json.dumps({"numbers": [IIN]}).encode()),
        ("POST", "/v1/tokens:exchange", {}, json.dumps({"algorithm": IIN}).encode()),
        ("POST", "/v1/tokens:exchange", {}, b'{"challenge": ' + IIN.encode()),
    ]
    with gateway.http() as web:
        statuses = [
            web.request(verb, path, headers=headers, content=body).status_code
            for verb, path, headers, body in calls
        ]
    with grpc.insecure_channel(gateway.target) as channel, pytest.raises(grpc.RpcError):
        blocking_unary(channel, f"/qagazsyz.identity.v1.SubjectService/{IIN}")(b"")
    return statuses


def test_neither_log_nor_spans_hold_personal_data(
    backend: Backend, collector: Collector, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("gateway")
    with running(folder, backend, otlp_endpoint=collector.address) as gateway:
        alive = len(gateway.logged(1))
        statuses = send_personal_data(gateway, backend)
        assert statuses == [200, 401, 401, 401, 404, 200, 400, 503, 400, 400, 400]
        lines = gateway.logged(alive + len(statuses) + 1)[alive:]
        until(lambda: len(collector.spans) >= len(statuses) + 1)
    assert [line["status"] for line in lines[:-1]] == statuses
    assert IIN not in json.dumps(lines)
    assert all(IIN.encode() not in span.SerializeToString() for span in collector.spans)
    assert lines[0]["route"] == GET_SUBJECT
    assert lines[1]["details"] == "jwt_authn_access_denied{Jwt_is_missing}"
    assert lines[7]["attempts"] == 3
    assert lines[-1]["grpc_status"] == "16"
    # The answer to a JSON call has no header of gRPC; the access log keeps its status.
    assert lines[0]["grpc_status"] == "0"
    assert {span.trace_id.hex() for span in collector.spans} == {line["trace"] for line in lines}


def test_a_call_has_one_span_in_the_callers_trace(
    backend: Backend, collector: Collector, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("gateway")
    with (
        running(folder, backend, otlp_endpoint=collector.address) as gateway,
        gateway.http() as web,
    ):
        headers = {"authorization": f"Bearer {backend.token()}", "traceparent": PARENT}
        assert web.get("/v1/subjects/a", headers=headers).status_code == 200
        passed_on = backend.received[-1].metadata["traceparent"]
        with grpc.insecure_channel(gateway.target) as channel:
            metadata = (("authorization", headers["authorization"]),)
            blocking_unary(channel, f"/{GET_SUBJECT}")(b"", metadata=metadata)
        until(lambda: len(collector.spans) >= 2)
    # Each of Envoy's workers exports its own spans.
    first, second = sorted(collector.spans, key=lambda span: not span.parent_span_id)
    assert first.name == second.name == GET_SUBJECT
    assert first.trace_id.hex() == PARENT.split("-")[1]
    assert first.parent_span_id.hex() == PARENT.split("-")[2]
    assert passed_on == f"00-{first.trace_id.hex()}-{first.span_id.hex()}-01"
    assert second.trace_id != first.trace_id


HIDING = [
    PARENT[:-2] + "00",
    "00-" + "0" * 32 + "-" + "0" * 16 + "-00",
    "@@@",
    PARENT[:-1],
    "ff" + PARENT[2:],
    "00-" + "1" * 32 + "-" + "2" * 16 + "-00-more",
    "",
]


def has_spans(collector: Collector, number: int) -> bool:
    return len(collector.spans) >= number


def test_no_traceparent_keeps_a_call_out_of_the_traces(
    backend: Backend, collector: Collector, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("gateway")
    with (
        running(folder, backend, otlp_endpoint=collector.address) as gateway,
        gateway.http() as web,
    ):
        for number, parent in enumerate(HIDING, 1):
            web.get("/v1/documentTypes", headers={"traceparent": parent})
            assert backend.received[-1].metadata["traceparent"].endswith("-01"), parent
            until(partial(has_spans, collector, number))
        web.get("/v1/documentTypes", headers=[("traceparent", PARENT), ("traceparent", "x")])
        until(lambda: len(collector.spans) > len(HIDING))
    assert PARENT.split("-")[1] in {span.trace_id.hex() for span in collector.spans}


def test_an_unsampled_trace_is_passed_on_as_unsampled(
    backend: Backend, collector: Collector, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("gateway")
    with (
        running(folder, backend, otlp_endpoint=collector.address, trace_sample_ratio=0) as gateway,
        gateway.http() as web,
    ):
        assert web.get("/v1/documentTypes").status_code == 200
        assert backend.received[-1].metadata["traceparent"].endswith("-00")
        web.get("/v1/documentTypes", headers={"traceparent": PARENT})
        assert backend.received[-1].metadata["traceparent"].endswith("-00")
    assert collector.spans == []


# The sampler compares the last half of a trace's id with the ratio.
LEAST, MOST = "0" * 31 + "1", "f" * 32


@pytest.mark.parametrize("trace_id", [LEAST, MOST])
def test_where_a_share_is_traced_callers_do_not_choose_their_traces_id(
    backend: Backend,
    collector: Collector,
    tmp_path_factory: pytest.TempPathFactory,
    trace_id: str,
) -> None:
    folder = tmp_path_factory.mktemp("gateway")
    with (
        running(
            folder, backend, otlp_endpoint=collector.address, trace_sample_ratio=0.999
        ) as gateway,
        gateway.http() as web,
    ):
        web.get("/v1/documentTypes", headers={"traceparent": f"00-{trace_id}-{'1' * 16}-00"})
        assert trace_id not in backend.received[-1].metadata["traceparent"]


def test_a_gateway_without_traces_leaves_the_decision_to_the_services(
    backend: Backend, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("gateway")
    with (
        running(folder, backend) as gateway,
        gateway.http() as web,
    ):
        web.get("/v1/documentTypes", headers={"traceparent": PARENT[:-2] + "00"})
        assert "traceparent" not in backend.received[-1].metadata
