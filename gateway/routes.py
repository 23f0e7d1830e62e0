"""Envoy's routes: one for each method, by its exact native path.

The transcoder matches JSON calls and rewrites them to the native path before the final choice of a
route, so there is one table for all protocols. It has exact paths only, which cannot match more
than intended; any other path is 404 and reaches no service.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from gateway.clusters import KEYS_CLUSTER, download_cluster_of, large_json_cluster_of
from gateway.descriptors import Method
from gateway.json_requests import METADATA
from gateway.settings import GatewaySettings
from services.runtime.intake.intake import ADDRESS_HEADER, LARGE_BODY_BYTES, LENGTH_HEADER
from services.runtime.intake.message_bounds import MESSAGE_LIMIT_BYTES, OPEN_REQUEST_BYTES
from services.runtime.status import internal_status

Json = dict[str, Any]

HEALTH = "/healthz"
READINESS = "/readyz"
OPENAPI = "/openapi.json"

# Reflection and health need no token, and are not in our contracts: identity reflects all
# contracts, and registry's health answers for itself and for the services that it calls.
REFLECTION_DOMAIN = "identity"
HEALTH_DOMAIN = "registry"
REFLECTION = (
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
)
GRPC_HEALTH = (
    "/grpc.health.v1.Health/Check",
    "/grpc.health.v1.Health/List",
    "/grpc.health.v1.Health/Watch",
)

TRANSCODER = "envoy.filters.http.grpc_json_transcoder"
BUFFER = "envoy.filters.http.buffer"
CORS = "envoy.filters.http.cors"
JWT = "envoy.filters.http.jwt_authn"
DISABLED = {
    "@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig",
    "disabled": True,
}


def json_limit(message_bytes: int) -> int:
    """Return the longest JSON body for messages of so many bytes: in JSON, bytes are a third longer
    (base64), and the fields have names."""
    return message_bytes * 4 // 3 + min(message_bytes // 4, 1024 * 1024)


BODY_LIMIT = json_limit(MESSAGE_LIMIT_BYTES)
# Longest body that Envoy collects before any service knows of the call: one without a
# content-length, which few clients send.
UNANNOUNCED_LIMIT = json_limit(OPEN_REQUEST_BYTES)
# How long such a body may take.
UNANNOUNCED_SECONDS = 15
# A copy of content-type, which the filter for gRPC-Web replaces by gRPC's. It is not removed before
# the call goes to a service, because local replies that come later need it.
KIND_HEADER = "x-qagazsyz-kind"
# The transcoder puts the original path of a JSON call here.
ORIGINAL_PATH = "x-envoy-original-path"
NO_CLUSTER = "none"
NOT_SAMPLED = "00-00000000000000000000000000000001-0000000000000001-00"
# The metadata key of the token's claims, for the rate limit.
CLAIMS = "claims"
# The metadata key that marks routes which need no token, whose rate is limited by address.
OPEN_MARK = "qagazsyz"

# Services take no compressed message, which may be small on the wire and large in memory.
ENCODING = "identity"
# What a service gets as content-type; a gRPC server cannot parse "application/grpcx".
GRPC_TYPES = r"application/grpc(\+proto|-web(-text)?(\+proto)?)?"
# TimeoutValue and TimeoutUnit of gRPC over HTTP/2.
TIMEOUT = "[0-9]{1,8}[HMSmun]"

# Our services use one fixed text for INTERNAL. INTERNAL with any other text comes from the gRPC
# library, for a malformed frame (for example one wrongly flagged as compressed): the caller's
# fault, so it becomes INVALID_ARGUMENT.
CALLERS_FAULT = (
    "%CEL(response.headers['grpc-status'] == '13'"
    f" && response.headers['grpc-message'] != '{internal_status().message}'"
    " ? '3' : response.headers['grpc-status'])%"
)

# Requests up to this size are buffered to be retried; longer ones are not retried.
RETRY_BUFFER = 64 * 1024
RETRIES = 2


def virtual_host(methods: Iterable[Method], settings: GatewaySettings) -> Json:
    """Return all routes of the outer listener, and its CORS policy."""
    methods = tuple(methods)
    host: Json = {
        "name": "suite",
        "domains": ["*"],
        "routes": [
            *_unreadable_headers(),
            _unchecked(),
            *_too_large(methods),
            *(
                route
                for method in methods
                if method.takes_json
                for route in _long_json(method, settings)
            ),
            *(_collected(method, settings) for method in methods if method.is_download),
            *(_call(method, settings) for method in methods),
            *(_stream(path, REFLECTION_DOMAIN, settings, True) for path in REFLECTION),
            *(_stream(path, HEALTH_DOMAIN, settings, True) for path in GRPC_HEALTH),
            _direct(HEALTH, 200, {"inline_string": '{"status":"alive"}\n'}),
            _direct(OPENAPI, 200, {"filename": "openapi.json"}),
            _body_of_unknown_length(settings),
            _unknown(settings),
        ],
        "request_headers_to_add": [
            # Without this header a service resets the call, which looks as if it were unavailable.
            _header("te", "trailers", "OVERWRITE_IF_EXISTS_OR_ADD"),
            # Callers without a token share a service's slots by address.
            _header(
                ADDRESS_HEADER,
                "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
                "OVERWRITE_IF_EXISTS_OR_ADD",
            ),
        ],
        "response_headers_to_add": [_header("grpc-status", CALLERS_FAULT, "OVERWRITE_IF_EXISTS")],
    }
    if settings.allowed_origins:
        host["typed_per_filter_config"] = {CORS: _cors(settings.allowed_origins)}
    return host


def _unreadable_headers() -> list[Json]:
    """Refuse headers that a gRPC server parses by a type and cannot parse.

    After one such value it refuses all calls with a header of that name on the connection, which
    all callers share. The other headers of a type are removed or overwritten: see
    envoy.POISONOUS_HEADERS.
    """

    def refused(name: str, regex: str, status: int, body: str, *more: Json) -> Json:
        unlike = {"string_match": {"safe_regex": {"regex": regex}}, "invert_match": True}
        return {
            "name": f"unreadable-{name}",
            "match": {"prefix": "/", "headers": [*more, {"name": name, **unlike}]},
            "direct_response": {"status": status, "body": {"inline_string": body}},
            "typed_per_filter_config": {TRANSCODER: DISABLED, JWT: DISABLED},
        }

    compressed = refused("grpc-encoding", ENCODING, 415, "compressed messages are not taken")
    compressed["response_headers_to_add"] = [
        _header("grpc-accept-encoding", ENCODING, "OVERWRITE_IF_EXISTS_OR_ADD")
    ]
    is_grpc = {"name": "content-type", "string_match": {"prefix": "application/grpc"}}
    return [
        compressed,
        refused("grpc-timeout", TIMEOUT, 400, "grpc-timeout: not a number and a unit"),
        refused("content-type", GRPC_TYPES, 415, "content-type: not known", is_grpc),
    ]


def _unchecked() -> Json:
    """Refuse a JSON call whose fields nothing checked, should the check's patterns and the
    transcoder's templates ever differ."""
    checked = {
        "filter": METADATA,
        "path": [{"key": "checked"}],
        "value": {"present_match": True},
        "invert": True,
    }
    return {
        "name": "unchecked",
        "match": {
            "prefix": "/",
            "headers": [{"name": ORIGINAL_PATH, "present_match": True}],
            "dynamic_metadata": [checked],
        },
        "direct_response": {"status": 404, "body": {"inline_string": "no such path"}},
        "typed_per_filter_config": {JWT: DISABLED},
    }


def _too_large(methods: Iterable[Method]) -> list[Json]:
    """Refuse by content-length what the transcoder would buffer whole."""

    def refused(match: Json, limit: int, message: str) -> Json:
        longer = {"start": str(limit + 1), "end": str(2**63 - 1)}
        headers = [{"name": "content-length", "range_match": longer}]
        return {
            "name": "too-large",
            "match": match | {"headers": headers},
            "direct_response": {"status": 413, "body": {"inline_string": message}},
            "typed_per_filter_config": {TRANSCODER: DISABLED, JWT: DISABLED},
        }

    # Raw bodies are collected before any service knows of the call.
    return [
        *(
            refused({"path": one.template}, method.max_request_bytes, "the body is too large")
            for method in methods
            for one in method.bindings
            if one.raw
        ),
        refused({"prefix": "/"}, BODY_LIMIT, "messages have 20 MiB at most"),
    ]


def _long_json(method: Method, settings: GatewaySettings) -> list[Json]:
    """Return the method's routes for long JSON bodies, which Envoy would collect: refuse one that
    is too long by its content-length; give large ones their own cluster."""

    def longer_than(size: int) -> Json:
        match = native(method.path)
        longer = {"start": str(size + 1), "end": str(2**63 - 1)}
        match["headers"] += [
            {"name": ORIGINAL_PATH, "present_match": True},
            {"name": LENGTH_HEADER, "range_match": longer},
        ]
        return {"match": match}

    limit = json_limit(method.max_request_bytes)
    words = f"messages have {method.max_request_bytes} bytes at most"
    refused: Json = longer_than(limit) | {
        "name": method.path[1:],
        "direct_response": {"status": 413, "body": {"inline_string": words}},
    }
    if limit <= LARGE_BODY_BYTES:
        return [refused]
    large = _call(method, settings) | longer_than(LARGE_BODY_BYTES)
    large["route"]["cluster"] = large_json_cluster_of(method)
    return [refused, large]


def _body_of_unknown_length(settings: GatewaySettings) -> Json:
    """Buffer a chunked body until it is complete, and refuse a long one: the transcoder would
    buffer any number of bytes."""
    buffer = "type.googleapis.com/envoy.extensions.filters.http.buffer.v3.BufferPerRoute"
    limit = {"buffer": {"max_request_bytes": UNANNOUNCED_LIMIT}}
    return _unknown(settings) | {
        "match": {
            "prefix": "/",
            "headers": [
                {"name": ":method", "string_match": {"safe_regex": {"regex": "POST|PATCH|PUT"}}},
                {"name": "content-length", "present_match": True, "invert_match": True},
            ],
        },
        "typed_per_filter_config": {BUFFER: {"@type": buffer, **limit}},
    }


def _unknown(settings: GatewaySettings) -> Json:
    """Return the last route: 404, or where JSON calls begin before the transcoder moves them on."""
    found: Json = {"name": "unknown", "match": {"prefix": "/"}}
    if settings.allowed_origins:
        # Envoy applies no CORS policy to a direct response; this cluster does not exist.
        missing = {"cluster": NO_CLUSTER, "cluster_not_found_response_code": "NOT_FOUND"}
        return found | {"route": missing}
    body = {"inline_string": "no such method"}
    return found | {"direct_response": {"status": 404, "body": body}}


def keys_host() -> Json:
    """Return the inner listener's only route, to the token keys."""
    return {
        "name": KEYS_CLUSTER,
        "domains": ["*"],
        "routes": [
            {
                "name": KEYS_CLUSTER,
                "match": {"path": "/qagazsyz.identity.v1.TokenService/GetKeySet", "grpc": {}},
                "route": {"cluster": "identity", "timeout": "5s"},
                # Envoy's own periodic call must not fill the traces.
                "request_headers_to_add": [
                    {"header": {"key": "traceparent", "value": NOT_SAMPLED}}
                ],
            },
            {"name": "unknown", "match": {"prefix": "/"}, "direct_response": {"status": 404}},
        ],
    }


def native(path: str) -> Json:
    """Return the match of native calls to this path."""
    return {
        "path": path,
        "headers": [
            {"name": ":method", "string_match": {"exact": "POST"}},
            # gRPC-Web too, whose route is chosen before it is converted to gRPC.
            {"name": "content-type", "string_match": {"prefix": "application/grpc"}},
        ],
    }


def _collected(method: Method, settings: GatewaySettings) -> Json:
    """Send a download as plain HTTP to the cluster that admits few at once: Envoy collects it whole
    before its caller reads it. Over gRPC it passes it on, and callers share the service's slots."""
    route = _call(method, settings)
    route["match"]["headers"].append({"name": ORIGINAL_PATH, "present_match": True})
    route["route"]["cluster"] = download_cluster_of(method)
    return route


def _call(method: Method, settings: GatewaySettings) -> Json:
    if method.streams:
        return _stream(method.path, method.domain, settings, method.open)
    longest = f"{settings.call_timeout_seconds}s"
    action: Json = {
        "cluster": method.domain,
        # From the first byte of the request to the last of the response, or the caller's deadline
        # if that is shorter; the service gets it as grpc-timeout.
        "max_stream_duration": {
            "max_stream_duration": longest,
            "grpc_timeout_header_max": longest,
        },
    }
    if method.is_safe:
        action["retry_policy"] = {
            "retry_on": "connect-failure,refused-stream,reset-before-request,unavailable",
            "num_retries": RETRIES,
            "retry_host_predicate": [
                {
                    "name": "envoy.retry_host_predicates.previous_hosts",
                    "typed_config": {
                        "@type": "type.googleapis.com/envoy.extensions.retry.host"
                        ".previous_hosts.v3.PreviousHostsPredicate"
                    },
                }
            ],
            "host_selection_retry_max_attempts": 3,
        }
    return {
        "name": method.path[1:],
        "match": native(method.path),
        "route": action,
        "request_body_buffer_limit": RETRY_BUFFER,
        **_mark(method.open),
    }


def _stream(path: str, cluster: str, settings: GatewaySettings, is_open: bool) -> Json:
    return {
        "name": path[1:],
        "match": native(path),
        "route": {
            "cluster": cluster,
            "timeout": "0s",
            "idle_timeout": f"{settings.stream_idle_seconds}s",
            # No end.
            "max_stream_duration": {"max_stream_duration": "0s"},
        },
        **_mark(is_open),
    }


def _mark(is_open: bool) -> Json:
    return {"metadata": {"filter_metadata": {OPEN_MARK: {"open": "yes"}}}} if is_open else {}


def _direct(path: str, status: int, body: Json) -> Json:
    return {
        "name": path[1:],
        "match": {"path": path},
        "tracing": {"overall_sampling": {"numerator": 0}},
        "direct_response": {"status": status, "body": body},
        "response_headers_to_add": [
            {
                "header": {"key": "content-type", "value": "application/json"},
                "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
            }
        ],
        # The transcoder would refuse the path as unknown.
        "typed_per_filter_config": {TRANSCODER: DISABLED},
    }


def _header(key: str, value: str, action: str) -> Json:
    return {"header": {"key": key, "value": value}, "append_action": action}


def rate_limits() -> list[Json]:
    """Return the rate limits: by the token's subject, and by address on routes without a token.

    An action that yields nothing (no token, no mark on the route) uses no bucket.
    """
    subject = {"key": JWT, "path": [{"key": CLAIMS}, {"key": "sub"}]}
    marked = {"key": OPEN_MARK, "path": [{"key": "open"}]}
    return [
        {
            "actions": [
                {
                    "metadata": {
                        "descriptor_key": "subject",
                        "source": "DYNAMIC",
                        "metadata_key": subject,
                        "skip_if_absent": True,
                    }
                }
            ]
        },
        {
            "actions": [
                {
                    "metadata": {
                        "descriptor_key": "open",
                        "source": "ROUTE_ENTRY",
                        "metadata_key": marked,
                        "skip_if_absent": True,
                    }
                },
                # One household or one host usually has a whole /64 of IPv6.
                {"masked_remote_address": {"v4_prefix_mask_len": 32, "v6_prefix_mask_len": 64}},
            ]
        },
    ]


def _cors(origins: tuple[str, ...]) -> Json:
    return {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.cors.v3.CorsPolicy",
        "allow_origin_string_match": [{"exact": origin} for origin in origins],
        "allow_methods": "GET,POST,PATCH,DELETE",
        "allow_headers": "authorization,content-type,x-grpc-web,x-user-agent,grpc-timeout,"
        "traceparent,qagazsyz-confirmation",
        "expose_headers": "grpc-status,grpc-message,grpc-status-details-bin",
        "max_age": "3600",
    }
