"""The clusters: endpoints, and the limits of replicas."""

from __future__ import annotations

from services.runtime.server import CONCURRENT_CALLS
from tests.unit.gateway.configuration import Json, bootstrap, cluster, settings


def test_replicas_of_signing_share_its_calls(config: Json) -> None:
    endpoints = cluster(config, "signing")["load_assignment"]["endpoints"][0]["lb_endpoints"]
    assert [one["endpoint"]["address"] for one in endpoints] == [
        {"pipe": {"path": "/run/signing-1"}},
        {"pipe": {"path": "/run/signing-2"}},
    ]
    bound = cluster(config, "signing")["circuit_breakers"]["thresholds"][0]
    assert bound["max_requests"] == 2 * settings().calls_at_once


def test_the_services_who_share_by_caller_are_full_before_the_gateway_is() -> None:
    assert settings().calls_at_once > 2 * CONCURRENT_CALLS


def test_names_are_resolved_and_fixed_addresses_are_not() -> None:
    config = bootstrap(registry="registry:50051")
    assert cluster(config, "registry")["type"] == "STRICT_DNS"
    assert cluster(config, "identity")["type"] == "STATIC"
