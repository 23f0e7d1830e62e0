"""Generate Envoy's bootstrap configuration from the contracts and the settings.

There are two listeners. The outer one serves all protocols on one port. The inner one, a unix
socket in the gateway's folder, transcodes Envoy's own plain GET of the token keys to the gRPC call
that identity serves. Paths are relative: Envoy runs in the gateway's folder.
"""

from __future__ import annotations

from typing import Any

from google.protobuf.descriptor_pb2 import FileDescriptorSet

from gateway import descriptors, filters, routes
from gateway.clusters import (
    COLLECTOR_CLUSTER,
    KEYS_SOCKET,
    clusters,
    download_cluster_of,
    large_json_cluster_of,
    socket,
)
from gateway.json_requests import METADATA, lua_source
from gateway.local_replies import local_replies
from gateway.settings import Address, GatewaySettings
from services.runtime.intake.intake import LENGTH_HEADER

Json = dict[str, Any]

ADMIN_SOCKET = "admin.sock"
PRIVATE = 0o600
OUTER_LISTENER = "gateway"

# Bytes that Envoy buffers for one connection before it stops reading, also of a body that it has
# refused: a thousand such connections stay far below its memory limit.
LISTENER_BUFFER = 64 * 1024
STREAM_WINDOW = 512 * 1024
CONNECTION_WINDOW = 1024 * 1024
STREAMS_PER_CONNECTION = 256
CONNECTIONS = 10_000
HEADERS_KIB = 64
HEADERS_TIMEOUT = "10s"
# A request whose body stalls for this long is ended.
STREAM_IDLE = "60s"
CONNECTION_IDLE = "600s"
# How long Envoy keeps a connection open after its last response. Its default, 1 s, truncates
# downloads on a slow network. The cost: a refused caller that keeps sending notices the refusal 3 s
# later.
DELAYED_CLOSE = "3s"
# A gRPC server parses these headers by a type, and after one that it cannot parse it refuses all
# calls with a header of that name on the same connection, which all callers share. The same holds
# for binary headers, whose names end in "-bin". Services need no such header, so they are removed.
# "te" is overwritten, and routes.py refuses unreadable values of those that services need.
POISONOUS_HEADERS = (
    "grpc-internal-encoding-request",
    "grpc-previous-rpc-attempts",
    "grpc-retry-pushback-ms",
    "grpc-status",
    "grpclb_client_stats",
)
# A caller's traceparent (W3C Trace Context) if it is well-formed, else one that all such
# calls share: Envoy makes no span for a call whose traceparent it cannot read, and can neither take
# it away on a condition nor make an identifier.
_PARENT = "request.headers['traceparent']"
TRACE_PARENT = (
    # In parts, because each expression has a limit.
    f"%CEL(size({_PARENT}) == 55 && {_PARENT}.matches('^00-[0-9a-f]{{32}}-')"
    f" && {_PARENT}.matches('-[0-9a-f]{{16}}-[0-9a-f]{{2}}$')"
    f" && !{_PARENT}.startsWith('00-{'0' * 32}') && !{_PARENT}.contains('-{'0' * 16}-')"
    f" ? {_PARENT}"
    f" : '00-{'0' * 31}2-{'0' * 15}2-01')%"
)
# The only internal address: with an empty list Envoy would trust the x-envoy-… headers of all
# private addresses.
UNSPECIFIED_ADDRESS = {"address_prefix": "0.0.0.0", "prefix_len": 32}  # noqa: S104 - no address to bind
OPENAPI_LIMIT = 4 * 1024 * 1024

# Shares of the heap at which Envoy shortens timeouts, ends the calls that hold most of it, and
# refuses calls. A call is ended without a response, and an HTTP/1.1 caller waits for its own
# deadline: but it is one of those that fill the memory, not one that comes later.
HURRY_AT, RESET_AT, RESET_ALL_AT, REFUSE_AT = 0.7, 0.85, 0.95, 0.98
# Calls that hold less than this power of two, in bytes, are not among them: 32 KiB.
HOARDED_POWER = 15
# How short timeouts become.
SHORTEST_IDLE = "2s"

# Envoy's own log in the services' form; %j is the message, escaped.
LOG_FIELDS = {
    "time": "%Y-%m-%dT%T.%e%z",
    "level": "%l",
    "service": "gateway",
    "logger": "envoy.%n",
    "message": "%j",
}

RUNTIME = {
    # Export spans soon, so that a trace is complete when its call is over; the default is 5 s.
    "tracing.opentelemetry.flush_interval_ms": 500,
    # Memory that calls hold is what fills the heap, not what they gave back and Envoy keeps.
    "envoy.reloadable_features.fixed_heap_use_allocated": True,
    # A connection ends once most of so many streams were reset within a second (CVE-2023-44487).
    "overload.premature_reset_total_stream_count": 100,
}
# Envoy returns so much of what calls gave back to the system, so often.
RELEASED_BYTES, RELEASED_EVERY = 64 * 1024 * 1024, "1s"
# Overwrites Envoy's own span tags that hold what a caller sent.
SPAN_TAGS = {"grpc.path": "/%ROUTE_NAME%", "user_agent": "-", "peer.address": "-"}
# No address, query or header of a caller, which may be personal data: the route names the method.
ACCESS_LOG_FIELDS = {
    "time": "%START_TIME(%Y-%m-%dT%H:%M:%S.%3fZ)%",
    "route": "%ROUTE_NAME%",
    "protocol": "%PROTOCOL%",
    "status": "%RESPONSE_CODE%",
    # For transcoded responses %GRPC_STATUS% guesses by the HTTP status: INTERNAL for a bad request.
    # From the answer to a JSON call it was removed (json_requests.lua).
    "grpc_status": "%CEL('grpc-status' in response.trailers ? response.trailers['grpc-status']"
    " : 'grpc-status' in response.headers ? response.headers['grpc-status']"
    f" : metadata.filter_metadata['{METADATA}']['grpc_status'])%",
    "flags": "%RESPONSE_FLAGS%",
    "details": "%RESPONSE_CODE_DETAILS%",
    "milliseconds": "%DURATION%",
    "bytes_received": "%BYTES_RECEIVED%",
    "bytes_sent": "%BYTES_SENT%",
    "attempts": "%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
    "cluster": "%UPSTREAM_CLUSTER%",
    "trace": "%TRACE_ID%",
}


def bootstrap(contracts: FileDescriptorSet, settings: GatewaySettings) -> Json:
    """Return the whole configuration, in the JSON form that Envoy reads."""
    methods = descriptors.methods(contracts)
    names = {method.domain for method in methods}
    names |= {download_cluster_of(method) for method in methods if method.is_download}
    names |= {large_json_cluster_of(method) for method in methods if method.takes_json}
    return {
        "node": {"id": "gateway", "cluster": "qagazsyz"},
        "admin": {"address": _private_pipe(ADMIN_SOCKET)},
        "static_resources": {
            "listeners": [
                _outer(
                    methods,
                    settings,
                    lua_source(contracts, methods, (routes.HEALTH, routes.OPENAPI)),
                ),
                _inner(),
            ],
            "clusters": clusters(names, settings),
        },
        "application_log_config": {"log_format": {"json_format": LOG_FIELDS}},
        "layered_runtime": {"layers": [{"name": "static", "static_layer": RUNTIME}]},
        "overload_manager": _overload(settings.heap_mib * 1024 * 1024),
        "memory_allocator_manager": {
            "bytes_to_release": RELEASED_BYTES,
            "memory_release_interval": RELEASED_EVERY,
        },
    }


def _outer(
    methods: tuple[descriptors.Method, ...], settings: GatewaySettings, json_check: str
) -> Json:
    manager: Json = {
        "stat_prefix": "outer",
        "codec_type": "AUTO",
        "server_name": "qagazsyz",
        "route_config": {
            "name": "suite",
            "max_direct_response_body_size_bytes": OPENAPI_LIMIT,
            "virtual_hosts": [routes.virtual_host(methods, settings)],
            "validate_clusters": not settings.allowed_origins,
        },
        "http_filters": filters.http_filters(methods, settings, json_check),
        "local_reply_config": local_replies(),
        "access_log": [_access_log(settings)],
        # `openssl ocsp` speaks HTTP/1.0.
        "http_protocol_options": {"accept_http_10": True, "default_host_for_http_10": "qagazsyz"},
        "http2_protocol_options": {
            "max_concurrent_streams": STREAMS_PER_CONNECTION,
            "initial_stream_window_size": STREAM_WINDOW,
            "initial_connection_window_size": CONNECTION_WINDOW,
        },
        "common_http_protocol_options": {
            "idle_timeout": CONNECTION_IDLE,
            # Until a call's route is known, which says how long the call may take.
            "max_stream_duration": f"{routes.UNANNOUNCED_SECONDS}s",
        },
        "max_request_headers_kb": HEADERS_KIB,
        "request_headers_timeout": HEADERS_TIMEOUT,
        "stream_idle_timeout": STREAM_IDLE,
        "delayed_close_timeout": DELAYED_CLOSE,
        # Trust the peer's address, not its headers; and with no internal address, drop the
        # x-envoy-… and x-request-id headers of callers.
        "use_remote_address": True,
        "early_header_mutation_extensions": [_early_headers(settings)],
        "xff_num_trusted_hops": settings.trusted_proxies,
        "internal_address_config": {"cidr_ranges": [UNSPECIFIED_ADDRESS]},
    }
    if settings.collector() is not None:
        manager["tracing"] = _tracing(settings)
    address = Address.parse(settings.listen)
    return {
        "name": OUTER_LISTENER,
        "address": socket(address),
        "per_connection_buffer_limit_bytes": LISTENER_BUFFER,
        "filter_chains": [{"filters": [_manager(manager)]}],
    }


def _inner() -> Json:
    manager: Json = {
        "stat_prefix": "inner",
        "route_config": {"name": "keys", "virtual_hosts": [routes.keys_host()]},
        "http_filters": [
            filters.transcoder(["qagazsyz.identity.v1.TokenService"]),
            filters.router(),
        ],
    }
    return {
        "name": "keys",
        "address": _private_pipe(KEYS_SOCKET),
        "enable_reuse_port": False,
        "filter_chains": [{"filters": [_manager(manager)]}],
    }


def _manager(config: Json) -> Json:
    name = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
    return {
        "name": "envoy.filters.network.http_connection_manager",
        "typed_config": {"@type": f"type.googleapis.com/{name}", **config},
    }


def _early_headers(settings: GatewaySettings) -> Json:
    """Remove headers that services do not need, and copy two that filters remove: the length of
    the body, and the content type."""
    name = "envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation"
    kept = {
        LENGTH_HEADER: "%REQ(content-length)%",
        routes.KIND_HEADER: "%REQ(content-type)%",
    }
    mutations: list[Json] = [{"remove": key} for key in (*POISONOUS_HEADERS, *kept)]
    mutations.append({"remove_on_match": {"key_matcher": {"suffix": "-bin"}}})
    for key, value in kept.items():
        header = {"key": key, "value": value}
        append = {"header": header, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
        mutations.append({"append": append})
    if settings.collector() is not None and settings.trace_sample_ratio == 1:
        header = {"key": "traceparent", "value": TRACE_PARENT}
        mutations.append({"append": {"header": header, "append_action": "OVERWRITE_IF_EXISTS"}})
    else:
        # The trace's id decides which calls are traced, here or in the services: callers who could
        # choose it would choose whether they are.
        mutations.append({"remove": "traceparent"})
    return {
        "name": "envoy.http.early_header_mutation.header_mutation",
        "typed_config": {"@type": f"type.googleapis.com/{name}", "mutations": mutations},
    }


def _access_log(settings: GatewaySettings) -> Json:
    formatted: Json = {"log_format": {"json_format": ACCESS_LOG_FIELDS}}
    prefix = "type.googleapis.com/envoy.extensions.access_loggers"
    not_readiness: Json = {"filter": {"not_health_check_filter": {}}}
    if settings.access_log is None:
        return not_readiness | {
            "name": "envoy.access_loggers.stdout",
            "typed_config": {"@type": f"{prefix}.stream.v3.StdoutAccessLog", **formatted},
        }
    return not_readiness | {
        "name": "envoy.access_loggers.file",
        "typed_config": {
            "@type": f"{prefix}.file.v3.FileAccessLog",
            "path": str(settings.access_log.absolute()),
            **formatted,
        },
    }


def _tracing(settings: GatewaySettings) -> Json:
    return {
        "random_sampling": {"value": settings.trace_sample_ratio * 100},
        # The path of a JSON call may hold personal data; the span's name says the method.
        "max_path_tag_length": 1,
        "operation": "%ROUTE_NAME%",
        "spawn_upstream_span": False,
        "custom_tags": [{"tag": tag, "value": value} for tag, value in SPAN_TAGS.items()],
        "provider": {
            "name": "envoy.tracers.opentelemetry",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.config.trace.v3.OpenTelemetryConfig",
                "service_name": "qagazsyz-gateway",
                "sampler": _sampler(settings.trace_sample_ratio),
                "grpc_service": {
                    "envoy_grpc": {"cluster_name": COLLECTOR_CLUSTER},
                    "timeout": "5s",
                },
            },
        },
    }


def _sampler(ratio: float) -> Json:
    """Decide by the trace's id whether a call is traced, whatever its caller's traceparent says:
    a flag of theirs must not keep a call out of the traces."""
    prefix = "type.googleapis.com/envoy.extensions.tracers.opentelemetry.samplers.v3"
    if ratio == 1:
        return {
            "name": "envoy.tracers.opentelemetry.samplers.always_on",
            "typed_config": {"@type": f"{prefix}.AlwaysOnSamplerConfig"},
        }
    return {
        "name": "envoy.tracers.opentelemetry.samplers.trace_id_ratio_based",
        "typed_config": {
            "@type": f"{prefix}.TraceIdRatioBasedSamplerConfig",
            "sampling_percentage": {
                "numerator": round(ratio * 1_000_000),
                "denominator": "MILLION",
            },
        },
    }


def _overload(heap_bytes: int) -> Json:
    heap = "envoy.resource_monitors.fixed_heap"
    connections = "envoy.resource_monitors.global_downstream_max_connections"
    prefix = "type.googleapis.com/envoy.extensions.resource_monitors"
    overload = "type.googleapis.com/envoy.config.overload.v3"

    def action(name: str, at: float) -> Json:
        return {
            "name": f"envoy.overload_actions.{name}",
            "triggers": [{"name": heap, "threshold": {"value": at}}],
        }

    def scaled(name: str, start: float, full: float) -> Json:
        bounds = {"scaling_threshold": start, "saturation_threshold": full}
        return action(name, full) | {"triggers": [{"name": heap, "scaled": bounds}]}

    return {
        "refresh_interval": "0.1s",
        "resource_monitors": [
            {
                "name": heap,
                "typed_config": {
                    "@type": f"{prefix}.fixed_heap.v3.FixedHeapConfig",
                    "max_heap_size_bytes": heap_bytes,
                },
            },
            {
                "name": connections,
                "typed_config": {
                    "@type": f"{prefix}.downstream_connections.v3.DownstreamConnectionsConfig",
                    "max_active_downstream_connections": CONNECTIONS,
                },
            },
        ],
        "actions": [
            scaled("reset_high_memory_stream", RESET_AT, RESET_ALL_AT),
            scaled("reduce_timeouts", HURRY_AT, RESET_AT)
            | {
                "typed_config": {
                    "@type": f"{overload}.ScaleTimersOverloadActionConfig",
                    "timer_scale_factors": [
                        {"timer": timer, "min_timeout": SHORTEST_IDLE}
                        for timer in (
                            "HTTP_DOWNSTREAM_CONNECTION_IDLE",
                            "HTTP_DOWNSTREAM_STREAM_IDLE",
                            "HTTP_DOWNSTREAM_STREAM_FLUSH",
                        )
                    ],
                }
            },
            action("stop_accepting_requests", REFUSE_AT),
        ],
        "buffer_factory_config": {"minimum_account_to_track_power_of_two": HOARDED_POWER},
    }


def _private_pipe(path: str) -> Json:
    return {"pipe": {"path": path, "mode": PRIVATE}}
