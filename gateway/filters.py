"""The HTTP filters of the outer listener, in the order in which a call passes through them.

The transcoder comes before token authentication, so that the latter sees the native path whichever
protocol the call uses: each rule is one exact path, and no URL template is written twice. Calls are
refused by their headers, before the body is read.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from gateway import routes
from gateway.clusters import KEYS_CLUSTER
from gateway.descriptors import Method
from gateway.settings import GatewaySettings
from services.runtime.access import (
    CALLER_AUDIENCE,
    CLOCK_LEEWAY_SECONDS,
    ISSUER,
    TOKEN_LIFETIME_SECONDS,
    TOKEN_LIMIT_BYTES,
)

Json = dict[str, Any]

PROVIDER = "caller"
NEEDED, OPTIONAL = "token", "token-if-any"
# Half the time between the publication of a key and the first token that is signed with it.
KEYS_KEPT = "60s"
KEYS_ASKED_AGAIN = "0.1s"

NONE = [{"remove_on_match": {"key_matcher": {"safe_regex": {"regex": ".*"}}}}]

# Callers that have a rate limit's bucket; beyond that the least recently used one is dropped.
CALLERS_REMEMBERED = 20_000
BURST_SECONDS = 2
NO_LIMIT = 2**32 - 1


def http_filters(
    methods: tuple[Method, ...], settings: GatewaySettings, json_check: str
) -> list[Json]:
    """Return all filters of the outer listener.

    json_check: the program that checks JSON requests (json_requests.py).
    """
    return [
        *([_filter("cors", "Cors")] if settings.allowed_origins else []),
        _readiness(),
        _filter("grpc_web", "GrpcWeb"),
        # Disabled, but for the one route that enables it.
        _filter("buffer", "Buffer", max_request_bytes=routes.UNANNOUNCED_LIMIT)
        | {"disabled": True},
        _filter("lua", "Lua", default_source_code={"inline_string": json_check}),
        transcoder(sorted({method.service for method in methods})),
        _jwt(methods),
        _rate_limit(settings),
        # A gRPC server parses trailers as it does headers; no protocol of ours has any in requests.
        _filter(
            "header_mutation", "HeaderMutation", mutations={"request_trailers_mutations": NONE}
        ),
        router(),
    ]


def transcoder(services: list[str]) -> Json:
    """Return the filter that transcodes JSON to gRPC and back, for these services."""
    return _filter(
        "grpc_json_transcoder",
        "GrpcJsonTranscoder",
        proto_descriptor="contracts.desc",
        services=services,
        convert_grpc_status=True,
        max_request_body_size=routes.BODY_LIMIT,
        max_response_body_size=routes.BODY_LIMIT,
        request_validation_options={
            "reject_unknown_method": True,
            "reject_unknown_query_parameters": True,
            # Refuse a PATCH whose body names another resource than its path; else the body wins.
            "reject_binding_body_field_collisions": True,
        },
        print_options={"always_print_primitive_fields": True},
        query_param_unescape_plus=True,
    )


def router() -> Json:
    """Return the last filter, which sends the call to its cluster."""
    return _filter("router", "Router", suppress_envoy_headers=True)


def _readiness() -> Json:
    well = {name: {"value": 1} for name in ("identity", "signing", "registry", "requests")}
    return _filter(
        "health_check",
        "HealthCheck",
        pass_through_mode=False,
        cluster_min_healthy_percentages=well | {KEYS_CLUSTER: {"value": 100}},
        headers=[{"name": ":path", "string_match": {"exact": routes.READINESS}}],
    )


def _jwt(methods: Iterable[Method]) -> Json:
    provider: Json = {
        "issuer": ISSUER,
        "audiences": [CALLER_AUDIENCE],
        "require_expiration": True,
        "clock_skew_seconds": CLOCK_LEEWAY_SECONDS,
        "max_lifetime": f"{TOKEN_LIFETIME_SECONDS + CLOCK_LEEWAY_SECONDS}s",
        # The services verify it again, and read the caller from it.
        "forward": True,
        # This header only, so that a token in a URL, which logs keep, is not accepted.
        "from_headers": [{"name": "Authorization", "value_prefix": "Bearer "}],
        "payload_in_metadata": routes.CLAIMS,
        # Spares Envoy a signature at each call. A token that is cached is accepted here until it
        # ends, though its key was taken away: the services, who forget a key within a minute,
        # refuse it (services/runtime/access.py).
        "jwt_cache_config": {"jwt_cache_size": 1_000, "jwt_max_token_size": TOKEN_LIMIT_BYTES},
        "remote_jwks": {
            "http_uri": {
                "uri": "http://keys/.well-known/jwks.json",
                "cluster": KEYS_CLUSTER,
                "timeout": "5s",
            },
            "cache_duration": KEYS_KEPT,
            "async_fetch": {"fast_listener": False, "failed_refetch_duration": KEYS_ASKED_AGAIN},
        },
    }
    needed: Json = {"provider_name": PROVIDER}
    rules: list[Json] = [
        {
            "match": {
                "path": method.path,
                "headers": [{"name": ":method", "string_match": {"exact": "POST"}}],
            },
            "requirement_name": OPTIONAL if method.open else NEEDED,
        }
        for method in methods
    ]
    rules += [
        {"match": {"path": path}}
        for path in (
            *routes.REFLECTION,
            *routes.GRPC_HEALTH,
            routes.HEALTH,
            routes.OPENAPI,
        )
    ]
    # Other paths have no route; without a token the caller does not learn even that.
    rules.append({"match": {"prefix": "/"}, "requirement_name": NEEDED})
    return _filter(
        "jwt_authn",
        "JwtAuthentication",
        providers={PROVIDER: provider},
        requirement_map={
            NEEDED: needed,
            # A token that is sent is verified, and refused if invalid, even if none is needed.
            OPTIONAL: {"requires_any": {"requirements": [needed, {"allow_missing": {}}]}},
        },
        rules=rules,
        bypass_cors_preflight=True,
    )


def _rate_limit(settings: GatewaySettings) -> Json:
    always = {"default_value": {"numerator": 100, "denominator": "HUNDRED"}}
    return _filter(
        "local_ratelimit",
        "LocalRateLimit",
        stat_prefix="callers",
        filter_enabled=always,
        filter_enforced=always,
        # For calls that match no descriptor below, which are not limited.
        token_bucket={"max_tokens": NO_LIMIT, "tokens_per_fill": NO_LIMIT, "fill_interval": "1s"},
        always_consume_default_token_bucket=False,
        max_dynamic_descriptors=CALLERS_REMEMBERED,
        # An entry without a value has a bucket for each value that occurs.
        descriptors=[
            {"entries": [{"key": "subject"}], "token_bucket": _bucket(settings.rate_limit)},
            {
                "entries": [{"key": "open", "value": "yes"}, {"key": "masked_remote_address"}],
                "token_bucket": _bucket(settings.open_rate_limit),
            },
        ],
        rate_limits=routes.rate_limits(),
        rate_limited_as_resource_exhausted=True,
    )


def _bucket(rate: int) -> Json:
    return {
        "max_tokens": rate * BURST_SECONDS,
        "tokens_per_fill": rate,
        "fill_interval": "1s",
    }


def _filter(name: str, message: str, **config: Any) -> Json:
    return {
        "name": f"envoy.filters.http.{name}",
        "typed_config": {
            "@type": f"type.googleapis.com/envoy.extensions.filters.http.{name}.v3.{message}",
            **config,
        },
    }
