"""The bootstrap: the access log and tracing."""

from __future__ import annotations

import re

import pytest

from gateway import envoy
from gateway.json_requests import METADATA
from tests.unit.gateway.configuration import bootstrap, manager


def test_the_access_log_names_the_route_and_nothing_that_a_caller_sent() -> None:
    written = " ".join(envoy.ACCESS_LOG_FIELDS.values())
    assert set(re.findall(r"%([A-Z_]{2,})", written)) == {
        "START_TIME",
        "ROUTE_NAME",
        "PROTOCOL",
        "RESPONSE_CODE",
        "CEL",
        "RESPONSE_FLAGS",
        "RESPONSE_CODE_DETAILS",
        "DURATION",
        "BYTES_RECEIVED",
        "BYTES_SENT",
        "UPSTREAM_REQUEST_ATTEMPT_COUNT",
        "UPSTREAM_CLUSTER",
        "TRACE_ID",
    }
    expression = envoy.ACCESS_LOG_FIELDS["grpc_status"]
    left_by_our_own_filter = {METADATA, "grpc_status"}
    named = set(re.findall(r"'([^']+)'", expression))
    assert named == {"grpc-status", *left_by_our_own_filter}
    assert "request." not in expression


def test_calls_are_traced_only_with_a_collector(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_ENDPOINT", raising=False)
    assert "tracing" not in manager(bootstrap())
    tracing = manager(bootstrap(otlp_endpoint="http://127.0.0.1:4317", trace_sample_ratio=0.01))
    assert tracing["tracing"]["random_sampling"] == {"value": 1.0}
