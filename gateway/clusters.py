"""Envoy's clusters: where calls go, how many at once, and how Envoy knows who is well.

A service has a cluster for each kind of call, all with the same endpoints, so that one kind cannot
use up what another needs: a gRPC server holds a whole message, several times over, before Python
sees it, so the calls at once are what bounds its memory, and batches are where the large messages
are. JSON is Envoy's own burden: the transcoder holds a whole body, and a whole answer. Over the
bound a call is refused at once - but for signing's single calls, which are short, and downloads,
which come in JSON's raw bytes: of those a few are under way on few connections and the rest wait
here, unread, for their turn.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gateway.descriptors import Method
from gateway.settings import Address, GatewaySettings

Json = dict[str, Any]

# The pseudo-domain whose "replica" is Envoy's own inner listener: it answers with identity's keys.
KEYS_CLUSTER = "keys"
KEYS_SOCKET = "keys.sock"
COLLECTOR_CLUSTER = "collector"

CONNECT_TIMEOUT = "2s"
# How soon a service that died or came back is noticed.
CHECK_INTERVAL = "1s"
OTHER_CHECK_INTERVAL = "5s"
# A service that answers its health check so late is working hard, not dead.
CHECK_TIMEOUT = "4s"
# Identity's own check says most; this one shows that Envoy can have its keys. The first always
# fails, as Envoy checks before it listens; from then on two good ones, so far apart, prove that
# its own fetching of the keys (each tenth of a second) came through.
KEY_CHECK_INTERVAL = "10s"
KEY_CHECK_INTERVAL_AT_FIRST = "0.4s"
KEY_CHECKS_TO_BE_WELL = 2
# Waiting calls hold their headers and at most a window of their body.
WAITING_CALLS = 1_000
RETRIES_AT_ONCE = 16
CONNECTIONS_AT_ONCE = 64
# What Envoy reads of an answer before its caller has taken it.
UPSTREAM_STREAM_WINDOW = 512 * 1024
UPSTREAM_CONNECTION_WINDOW = 2 * 1024 * 1024
UPSTREAM_BUFFER = 512 * 1024


@dataclass(frozen=True, slots=True)
class Bounds:
    """How many calls at once a cluster takes, and on how many connections."""

    calls: int
    connections: int = CONNECTIONS_AT_ONCE
    calls_per_connection: int | None = None
    waiting: int = WAITING_CALLS


def cluster_of(method: Method) -> str:
    """The name of the cluster that the method's calls go to."""
    if method.streams:
        return f"{method.domain}-streams"
    if method.is_batch:
        return f"{method.domain}-batches"
    return f"{method.domain}-downloads" if method.is_download else method.domain


def large_json_cluster_of(method: Method) -> str:
    """The name of the cluster that the method's calls with a large JSON body go to."""
    return f"{method.domain}-large"


def bounds(cluster: str, settings: GatewaySettings) -> Bounds:
    """The cluster's bounds, from the settings; those of a replica of signing count once for each,
    those that keep Envoy's own memory are as they are."""
    domain, _, kind = cluster.partition("-")
    replicas = len(settings.endpoints(domain))
    if kind == "large":
        return Bounds(settings.large_json_at_once)
    if kind == "downloads":
        return _waiting(settings.downloads_at_once, 1, settings)
    if domain != "signing":
        return Bounds(settings.batches_at_once if kind == "batches" else settings.calls_at_once)
    if kind == "batches":
        return Bounds(settings.signing_batches_at_once * replicas)
    if kind == "streams":
        return Bounds(settings.signing_streams_at_once * replicas)
    return _waiting(settings.signing_calls_at_once, replicas, settings)


def _waiting(at_once: int, replicas: int, settings: GatewaySettings) -> Bounds:
    """A few calls under way on one connection of each worker to each replica, the rest waiting."""
    return Bounds(
        calls=WAITING_CALLS,
        connections=settings.workers * replicas,
        calls_per_connection=max(1, at_once // settings.workers),
    )


def clusters(names: set[str], settings: GatewaySettings) -> list[Json]:
    """All clusters: one for each name, the keys', and the collector's where there is one."""
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
                        "max_retries": RETRIES_AT_ONCE,
                    }
                ]
            },
            # One kind's cluster tells whether the service is ready; the others only choose by it.
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
    """The address as Envoy writes it."""
    if address.path:
        return {"pipe": {"path": address.path}}
    return {"socket_address": {"address": address.host, "port_value": address.port}}
