"""Envoy's clusters: the endpoints of the services, circuit breakers, and health checks.

Services share their slots and memory among callers themselves (services/runtime/intake), which
Envoy cannot: its circuit breakers count calls and do not ask whose. So its limits stand above those
of the services, for the case that a service does not answer, with one exception: downloads as plain
HTTP, whose bytes the transcoder collects. Of those, a few are under way on few connections, and the
others queue here, unread. They and large JSON bodies, which the transcoder collects too, have
clusters of their own, with the same endpoints.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gateway.descriptors import Method
from gateway.settings import Address, GatewaySettings

Json = dict[str, Any]

# The cluster of the inner listener, which answers with identity's token keys.
KEYS_CLUSTER = "keys"
KEYS_SOCKET = "keys.sock"
COLLECTOR_CLUSTER = "collector"

CONNECT_TIMEOUT = "2s"
# How soon Envoy notices a service that ended or came back.
CHECK_INTERVAL = "1s"
OTHER_CHECK_INTERVAL = "5s"
# A service that answers its health check later than usual is busy, not dead.
CHECK_TIMEOUT = "4s"
# This check shows that Envoy can fetch the token keys, beside identity's own health check. The
# first one always fails, because Envoy checks before it listens. Two good ones after that, at the
# interval AT_FIRST, prove that Envoy's own fetching of the keys (each tenth of a second) has
# succeeded.
KEY_CHECK_INTERVAL = "10s"
KEY_CHECK_INTERVAL_AT_FIRST = "0.4s"
KEY_CHECKS_TO_BE_WELL = 2
# Queued calls take the memory of their headers and at most one window of their body.
WAITING_CALLS = 1_000
MAX_RETRIES = 16
MAX_CONNECTIONS = 64
# What Envoy reads of a response before its caller has read it.
UPSTREAM_STREAM_WINDOW = 512 * 1024
UPSTREAM_CONNECTION_WINDOW = 2 * 1024 * 1024
UPSTREAM_BUFFER = 512 * 1024


@dataclass(frozen=True, slots=True)
class Bounds:
    """The limits of a cluster: concurrent calls, connections, calls per connection, queue."""

    calls: int
    connections: int = MAX_CONNECTIONS
    calls_per_connection: int | None = None
    waiting: int = WAITING_CALLS


def download_cluster_of(method: Method) -> str:
    """Return the name of the cluster of a download's JSON calls, whose answer Envoy collects."""
    return f"{method.domain}-downloads"


def large_json_cluster_of(method: Method) -> str:
    """Return the name of the cluster of the method's calls with a large JSON body."""
    return f"{method.domain}-large"


def bounds(cluster: str, settings: GatewaySettings) -> Bounds:
    """Return a cluster's limits: of all replicas together."""
    domain, _, kind = cluster.partition("-")
    replicas = len(settings.endpoints(domain))
    if kind == "large":
        return Bounds(settings.large_json_at_once * replicas)
    if kind == "downloads":
        # So many on one connection of each worker; the others queue.
        return Bounds(
            calls=WAITING_CALLS,
            connections=settings.workers,
            calls_per_connection=max(1, settings.downloads_at_once // settings.workers),
        )
    return Bounds(settings.calls_at_once * replicas)


def clusters(names: set[str], settings: GatewaySettings) -> list[Json]:
    """Return all clusters: one for each name, that of the keys, and the collector's if set."""
    found = [
        _service(name, settings.endpoints(name.partition("-")[0]), bounds(name, settings))
        for name in sorted(names)
    ]
    found.append(_keys())
    collector = settings.collector()
    if collector is not None:
        found.append(_cluster(COLLECTOR_CLUSTER, (collector,)) | _http2(None))
    return found


def _service(name: str, endpoints: tuple[Address, ...], bound: Bounds) -> Json:
    return (
        _cluster(name, endpoints)
        | _http2(bound.calls_per_connection)
        | {
            "lb_policy": "LEAST_REQUEST",
            "circuit_breakers": {
                "thresholds": [
                    {
                        "max_connections": bound.connections,
                        "max_pending_requests": bound.waiting,
                        "max_requests": bound.calls,
                        "max_retries": MAX_RETRIES,
                    }
                ]
            },
            # The service's main cluster is checked often, for readiness; the others less.
            "health_checks": [
                (_checks(OTHER_CHECK_INTERVAL) if "-" in name else _checks())
                | {"grpc_health_check": {}}
            ],
        }
    )


def _keys() -> Json:
    check = _checks(KEY_CHECK_INTERVAL, KEY_CHECK_INTERVAL_AT_FIRST) | {
        "healthy_threshold": KEY_CHECKS_TO_BE_WELL,
        "http_health_check": {"path": "/.well-known/jwks.json", "host": KEYS_CLUSTER},
    }
    return _cluster(KEYS_CLUSTER, (Address(path=KEYS_SOCKET),)) | {"health_checks": [check]}


def _cluster(name: str, endpoints: tuple[Address, ...]) -> Json:
    return {
        "name": name,
        "type": "STRICT_DNS" if endpoints[0].is_name else "STATIC",
        "connect_timeout": CONNECT_TIMEOUT,
        "per_connection_buffer_limit_bytes": UPSTREAM_BUFFER,
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [
                {"lb_endpoints": [{"endpoint": {"address": socket(one)}} for one in endpoints]}
            ],
        },
    }


def _checks(well: str = CHECK_INTERVAL, unwell: str = CHECK_INTERVAL) -> Json:
    return {
        "interval": well,
        "no_traffic_healthy_interval": well,
        "unhealthy_interval": unwell,
        "healthy_edge_interval": unwell,
        "no_traffic_interval": unwell,
        "timeout": CHECK_TIMEOUT,
        "unhealthy_threshold": 2,
        "healthy_threshold": 1,
    }


def _http2(calls_per_connection: int | None) -> Json:
    options: Json = {
        "initial_stream_window_size": UPSTREAM_STREAM_WINDOW,
        "initial_connection_window_size": UPSTREAM_CONNECTION_WINDOW,
    }
    if calls_per_connection is not None:
        options["max_concurrent_streams"] = calls_per_connection
    name = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    return {
        "typed_extension_protocol_options": {
            name: {
                "@type": f"type.googleapis.com/{name}",
                "explicit_http_config": {"http2_protocol_options": options},
            }
        }
    }


def socket(address: Address) -> Json:
    """Return the address in Envoy's form."""
    if address.path:
        return {"pipe": {"path": address.path}}
    return {"socket_address": {"address": address.host, "port_value": address.port}}
