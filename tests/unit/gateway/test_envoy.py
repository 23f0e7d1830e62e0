"""The configuration that is generated, read as Envoy reads it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from gateway import descriptors, envoy, routes
from gateway.descriptors import Method, MissingAccessOption
from gateway.settings import GatewaySettings
from services.runtime.descriptors import service_descriptors

Json = dict[str, Any]


def settings(**changed: Any) -> GatewaySettings:
    return GatewaySettings(
        **{
            "folder": Path("gateway"),
            "identity": "127.0.0.1:1001",
            "signing": "unix:/run/signing-1,unix:/run/signing-2",
            "registry": "127.0.0.1:1003",
            "workers": 2,
            **changed,
        }
    )


def bootstrap(**changed: Any) -> Json:
    return envoy.bootstrap(descriptors.load(), settings(**changed))


def manager(config: Json, listener: int = 0) -> Json:
    filters = config["static_resources"]["listeners"][listener]["filter_chains"][0]["filters"]
    found: Json = filters[0]["typed_config"]
    return found


def all_routes(config: Json) -> list[Json]:
    found: list[Json] = manager(config)["route_config"]["virtual_hosts"][0]["routes"]
    return found


def http_filter(config: Json, name: str) -> Json:
    found: Json = next(
        one["typed_config"] for one in manager(config)["http_filters"] if one["name"].endswith(name)
    )
    return found


def cluster(config: Json, name: str) -> Json:
    found: Json = next(one for one in config["static_resources"]["clusters"] if one["name"] == name)
    return found


METHODS = descriptors.methods(descriptors.load())


@pytest.fixture(scope="module")
def config() -> Json:
    return bootstrap()


def test_every_method_of_every_service_is_served() -> None:
    assert {method.path for method in METHODS} == {
        f"/{service}/{method}"
        for service, descriptor in service_descriptors().items()
        for method in descriptor.methods_by_name
    }


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.path)
def test_a_method_has_one_rule_by_its_exact_path_and_its_option(
    config: Json, method: Method
) -> None:
    rules = http_filter(config, "jwt_authn")["rules"]
    (rule,) = [rule for rule in rules if rule["match"].get("path") == method.path]
    assert set(rule["match"]) == {"path", "headers"}
    assert rule["match"]["headers"] == [{"name": ":method", "string_match": {"exact": "POST"}}]
    assert rule["requirement_name"] == ("token-if-any" if method.open else "token")


def test_rules_open_nothing_but_reflection_health_and_the_gateways_own_pages(config: Json) -> None:
    rules = http_filter(config, "jwt_authn")["rules"]
    without = [rule["match"] for rule in rules if "requirement_name" not in rule]
    assert [set(match) for match in without] == [{"path"}] * len(without)
    assert {match["path"] for match in without} == {
        *routes.REFLECTION,
        *routes.GRPC_HEALTH,
        "/healthz",
        "/openapi.json",
    }


def test_what_no_rule_names_needs_a_token(config: Json) -> None:
    assert http_filter(config, "jwt_authn")["rules"][-1] == {
        "match": {"prefix": "/"},
        "requirement_name": "token",
    }


def test_a_token_is_taken_for_its_issuer_its_audience_and_its_time_only(config: Json) -> None:
    provider = http_filter(config, "jwt_authn")["providers"]["caller"]
    assert provider["issuer"] == "qagazsyz"
    assert provider["audiences"] == ["qagazsyz"]
    assert provider["require_expiration"] is True
    assert provider["from_headers"] == [{"name": "Authorization", "value_prefix": "Bearer "}]


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.path)
def test_a_method_is_routed_by_its_exact_path_to_its_own_service(
    config: Json, method: Method
) -> None:
    found = [one for one in all_routes(config) if one["match"].get("path") == method.path]
    assert found
    for route in found:
        assert route["route"]["cluster"].partition("-")[0] == method.domain
        assert set(route["match"]) == {"path", "headers"}


def test_only_exact_paths_are_routed_to_a_service(config: Json) -> None:
    served = {method.path for method in METHODS} | {*routes.REFLECTION, *routes.GRPC_HEALTH}
    for route in all_routes(config):
        if "route" in route:
            assert route["match"]["path"] in served
        else:
            assert "direct_response" in route


def test_the_last_route_refuses_everything_else(config: Json) -> None:
    last = all_routes(config)[-1]
    assert last["match"] == {"prefix": "/"}
    assert last["direct_response"]["status"] == 404


def test_only_questions_are_asked_again(config: Json) -> None:
    retried = {
        route["match"]["path"]
        for route in all_routes(config)
        if "retry_policy" in route.get("route", {})
    }
    assert retried == {method.path for method in METHODS if method.is_safe}
    for name in (
        "RegisterDocument",
        "LookUpDocuments",
        "DownloadDocument",
        "Sign",
        "CreateSubject",
    ):
        assert not any(path.endswith(f"/{name}") for path in retried)


def test_every_question_that_is_named_is_a_method() -> None:
    named = descriptors.SAFE_POSTS | descriptors.GETS_THAT_LEAVE_A_RECORD
    assert named <= {method.full_name for method in METHODS}


def test_a_stream_has_no_end_and_every_other_call_has_one(config: Json) -> None:
    streams = {method.path for method in METHODS if method.streams}
    assert streams == {"/qagazsyz.signing.v1.VerificationService/StreamVerify"}
    for route in all_routes(config):
        action = route.get("route")
        if action is None:
            continue
        path = route["match"]["path"]
        if path in streams or path in (*routes.REFLECTION, *routes.GRPC_HEALTH):
            assert action["timeout"] == "0s"
            assert action["idle_timeout"] == "300s"
        else:
            assert action["max_stream_duration"]["max_stream_duration"] == "30s"


def test_open_methods_are_limited_by_address_and_no_others(config: Json) -> None:
    marked = {route["match"]["path"] for route in all_routes(config) if "metadata" in route}
    open_methods = {method.path for method in METHODS if method.open}
    assert marked == open_methods | {*routes.REFLECTION, *routes.GRPC_HEALTH}


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
    assert set(re.findall(r"'([^']+)'", expression)) == {"grpc-status"}
    assert "request." not in expression


def test_replicas_of_signing_share_its_calls(config: Json) -> None:
    endpoints = cluster(config, "signing")["load_assignment"]["endpoints"][0]["lb_endpoints"]
    assert [one["endpoint"]["address"] for one in endpoints] == [
        {"pipe": {"path": "/run/signing-1"}},
        {"pipe": {"path": "/run/signing-2"}},
    ]
    bound = cluster(config, "signing-batches")["circuit_breakers"]["thresholds"][0]
    assert bound["max_requests"] == 2 * settings().signing_batches_at_once


def test_names_are_resolved_and_fixed_addresses_are_not() -> None:
    config = bootstrap(registry="registry:50051")
    assert cluster(config, "registry")["type"] == "STRICT_DNS"
    assert cluster(config, "identity")["type"] == "STATIC"


def test_every_cluster_that_a_route_names_is_there(config: Json) -> None:
    names = {one["name"] for one in config["static_resources"]["clusters"]}
    for listener in (0, 1):
        host = manager(config, listener)["route_config"]["virtual_hosts"][0]
        assert {one["route"]["cluster"] for one in host["routes"] if "route" in one} <= names


def test_nothing_is_traced_where_nobody_collects(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_ENDPOINT", raising=False)
    assert "tracing" not in manager(bootstrap())
    tracing = manager(bootstrap(otlp_endpoint="http://127.0.0.1:4317", trace_sample_ratio=0.01))
    assert tracing["tracing"]["random_sampling"] == {"value": 1.0}


def test_pages_call_from_configured_origins_only() -> None:
    host = manager(bootstrap(allowed_origins="https://a.example"))["route_config"]["virtual_hosts"]
    policy = host[0]["typed_per_filter_config"]["envoy.filters.http.cors"]
    assert policy["allow_origin_string_match"] == [{"exact": "https://a.example"}]


def test_a_method_without_an_access_option_stops_the_generator() -> None:
    bare = FileDescriptorSet()
    bare.CopyFrom(descriptors.load())
    file = next(one for one in bare.file if one.name == "qagazsyz/signing/v1/keys.proto")
    file.service[0].method[0].ClearField("options")
    with pytest.raises(MissingAccessOption, match="CreateKey"):
        envoy.bootstrap(bare, settings())
