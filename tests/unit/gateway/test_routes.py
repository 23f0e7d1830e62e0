"""The routes: exact paths, retries, ends of calls, rate limits, CORS."""

from __future__ import annotations

import pytest

from gateway import routes
from gateway.descriptors import Method
from tests.unit.gateway.configuration import METHODS, Json, all_routes, bootstrap, manager


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.path)
def test_a_method_is_routed_by_its_exact_path_to_its_own_service(
    config: Json, method: Method
) -> None:
    found = [one for one in all_routes(config) if one["match"].get("path") == method.path]
    assert found
    for route in found:
        assert set(route["match"]) == {"path", "headers"}
        if "direct_response" in route:
            assert route["direct_response"]["status"] == 413
        else:
            assert route["route"]["cluster"].partition("-")[0] == method.domain


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


def test_only_safe_methods_are_retried(config: Json) -> None:
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


def test_a_stream_has_no_end_and_every_other_call_has_one(config: Json) -> None:
    streams = {method.path for method in METHODS if method.streams}
    assert streams == {
        "/qagazsyz.signing.v1.VerificationService/StreamVerify",
        "/qagazsyz.signing.v1.MobileSignatureService/WatchMobileSignature",
    }
    for route in all_routes(config):
        action = route.get("route")
        if action is None:
            continue
        path = route["match"]["path"]
        if path in streams or path in (*routes.REFLECTION, *routes.GRPC_HEALTH):
            assert action["timeout"] == "0s"
            assert action["idle_timeout"] == "300s"
            assert action["max_stream_duration"]["max_stream_duration"] == "0s"
        else:
            assert action["max_stream_duration"]["max_stream_duration"] == "30s"


def test_open_methods_are_limited_by_address_and_no_others(config: Json) -> None:
    marked = {route["match"]["path"] for route in all_routes(config) if "metadata" in route}
    open_methods = {method.path for method in METHODS if method.open}
    assert marked == open_methods | {*routes.REFLECTION, *routes.GRPC_HEALTH}


def test_every_cluster_that_a_route_names_is_there(config: Json) -> None:
    names = {one["name"] for one in config["static_resources"]["clusters"]}
    for listener in (0, 1):
        host = manager(config, listener)["route_config"]["virtual_hosts"][0]
        assert {one["route"]["cluster"] for one in host["routes"] if "route" in one} <= names


def test_pages_call_from_configured_origins_only() -> None:
    host = manager(bootstrap(allowed_origins="https://a.example"))["route_config"]["virtual_hosts"]
    policy = host[0]["typed_per_filter_config"]["envoy.filters.http.cors"]
    assert policy["allow_origin_string_match"] == [{"exact": "https://a.example"}]


@pytest.mark.parametrize(
    "method", [method for method in METHODS if method.is_download], ids=lambda method: method.path
)
def test_only_a_download_that_envoy_collects_waits_in_envoy(config: Json, method: Method) -> None:
    over_http, over_grpc = (
        one
        for one in all_routes(config)
        if one["match"].get("path") == method.path and "route" in one
    )
    original = {"name": routes.ORIGINAL_PATH, "present_match": True}
    assert original in over_http["match"]["headers"]
    assert over_http["route"]["cluster"] == f"{method.domain}-downloads"
    assert original not in over_grpc["match"]["headers"]
    assert over_grpc["route"]["cluster"] == method.domain
