"""The HTTP filters: who needs a token, and which tokens are accepted."""

from __future__ import annotations

import pytest

from gateway import routes
from gateway.descriptors import Method
from services.identity.tokens.access_tokens import TOKEN_LIFETIME
from services.runtime.access import CLOCK_LEEWAY_SECONDS
from tests.unit.gateway.configuration import METHODS, Json, http_filter


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


def test_any_other_path_needs_a_token(config: Json) -> None:
    assert http_filter(config, "jwt_authn")["rules"][-1] == {
        "match": {"prefix": "/"},
        "requirement_name": "token",
    }


def test_a_token_is_verified_for_issuer_audience_and_expiry(config: Json) -> None:
    provider = http_filter(config, "jwt_authn")["providers"]["caller"]
    assert provider["issuer"] == "qagazsyz"
    assert provider["audiences"] == ["qagazsyz"]
    assert provider["require_expiration"] is True
    assert provider["from_headers"] == [{"name": "Authorization", "value_prefix": "Bearer "}]


def test_the_keys_are_fetched_each_minute(config: Json) -> None:
    provider = http_filter(config, "jwt_authn")["providers"]["caller"]
    assert provider["remote_jwks"]["cache_duration"] == "60s"


def test_a_token_lives_no_longer_than_identity_makes_it(config: Json) -> None:
    provider = http_filter(config, "jwt_authn")["providers"]["caller"]
    seconds = TOKEN_LIFETIME.total_seconds() + CLOCK_LEEWAY_SECONDS
    assert provider["max_lifetime"] == f"{seconds:.0f}s"
