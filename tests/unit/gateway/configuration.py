"""The generated configuration of Envoy, and where its parts are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gateway import descriptors, envoy
from gateway.settings import GatewaySettings

Json = dict[str, Any]

METHODS = descriptors.methods(descriptors.load())


def settings(**changed: Any) -> GatewaySettings:
    """Settings of a gateway before two replicas of signing, but for those that are changed."""
    return GatewaySettings(
        **{
            "folder": Path("gateway"),
            "identity": "127.0.0.1:1001",
            "signing": "unix:/run/signing-1,unix:/run/signing-2",
            "registry": "127.0.0.1:1003",
            "requests": "127.0.0.1:1004",
            "workers": 2,
            **changed,
        }
    )


def bootstrap(**changed: Any) -> Json:
    """The configuration that is generated with these settings."""
    return envoy.bootstrap(descriptors.load(), settings(**changed))


def manager(config: Json, listener: int = 0) -> Json:
    """The HTTP connection manager of the outer listener (0) or of the inner one (1)."""
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
