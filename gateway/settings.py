"""Settings of the gateway, read from environment variables QAGAZSYZ_GATEWAY_…"""

from __future__ import annotations

import ipaddress
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from services.runtime.intake.intake import LARGE_AT_ONCE


@dataclass(frozen=True, slots=True)
class Address:
    """An address to listen on or to connect to: a unix socket, or a host and a port."""

    path: str = ""
    host: str = ""
    port: int = 0

    @property
    def is_name(self) -> bool:
        """Whether the host is a name, to be resolved by DNS."""
        if self.path:
            return False
        try:
            ipaddress.ip_address(self.host)
        except ValueError:
            return True
        return False

    @classmethod
    def parse(cls, text: str) -> Address:
        """Parse "unix:/path", "host:port" or "[v6]:port". Raises ValueError."""
        if text.startswith("unix:"):
            path = text.removeprefix("unix:")
            # gRPC writes an absolute path with or without two slashes before it.
            path = path.removeprefix("//") if path.startswith("///") else path
            if not path:
                raise ValueError("a unix socket needs a path")
            return cls(path=path)
        host, colon, port = text.removeprefix("http://").rstrip("/").rpartition(":")
        if not colon or not host or not port.isdecimal() or int(port) > 65535:
            raise ValueError(f'"{text}" is neither "unix:/path" nor "host:port"')
        return cls(host=host.strip("[]"), port=int(port))


def _split(value: object) -> object:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


class GatewaySettings(BaseSettings):
    """Settings of the gateway."""

    model_config = SettingsConfigDict(env_prefix="QAGAZSYZ_GATEWAY_", extra="ignore")

    folder: Path = Field(
        description="The gateway's own folder: Envoy's configuration, its sockets."
    )
    listen: str = Field(
        default="127.0.0.1:8080",
        description='Where callers come: "host:port"; port 0 takes any free one.',
    )
    identity: Annotated[tuple[str, ...], NoDecode] = Field(
        description='Where identity takes calls: "unix:/path" or "host:port", several with commas.'
    )
    signing: Annotated[tuple[str, ...], NoDecode] = Field(
        description="Where signing takes calls, likewise."
    )
    registry: Annotated[tuple[str, ...], NoDecode] = Field(
        description="Where registry takes calls, likewise."
    )
    requests: Annotated[tuple[str, ...], NoDecode] = Field(
        description="Where requests takes calls, likewise."
    )
    workers: int = Field(
        default_factory=lambda: (
            len(os.sched_getaffinity(0))
            if hasattr(os, "sched_getaffinity")
            else os.cpu_count() or 1
        ),
        ge=1,
        description="Envoy's worker threads; one a core by default.",
    )
    rate_limit: int = Field(
        default=10_000,
        ge=1,
        description="Calls a second of one token's subject; twice as many in a burst.",
    )
    open_rate_limit: int = Field(
        default=10_000,
        ge=1,
        description="Calls a second from one address to methods that need no token; "
        "twice as many in a burst.",
    )
    trusted_proxies: int = Field(
        default=0,
        ge=0,
        description="Proxies before the gateway whose X-Forwarded-For is believed.",
    )
    allowed_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="Origins of pages that may call from a browser (CORS), with commas.",
    )
    call_timeout_seconds: int = Field(
        default=30, ge=1, description="The longest that a call may take; streams have no end."
    )
    stream_idle_seconds: int = Field(
        default=300, ge=1, description="A stream that is silent for so long is ended."
    )
    calls_at_once: int = Field(
        default=4_000,
        ge=1,
        description="Calls under way at once in one replica of a service; more are "
        "RESOURCE_EXHAUSTED. Above QAGAZSYZ_CONCURRENT_CALLS: services share slots by caller, the "
        "gateway does not.",
    )
    large_json_at_once: int = Field(
        default=LARGE_AT_ONCE + 1,
        ge=1,
        description="JSON calls with a body over 1 MiB under way at once in one replica of a "
        "service; more are RESOURCE_EXHAUSTED. One more than services share by caller. Each holds "
        "up to 48 MiB in Envoy's memory.",
    )
    downloads_at_once: int = Field(
        default=4, ge=1, description="Downloads of documents under way at once; more wait."
    )
    heap_mib: int = Field(
        default=400,
        ge=64,
        description="Near this size of its heap, in MiB, Envoy ends the calls that hold most.",
    )
    otlp_endpoint: str = Field(
        default="",
        description="OTLP/gRPC endpoint for spans; OTEL_EXPORTER_OTLP_ENDPOINT goes before it.",
    )
    trace_sample_ratio: float = Field(
        default=1.0, ge=0, le=1, description="Share of calls that are traced."
    )
    access_log: Path | None = Field(
        default=None, description="File of the access log, JSON lines; standard output if unset."
    )
    log_level: str = Field(
        default="warning", description="Of Envoy's own log: debug, info, warning or error."
    )
    drain_seconds: float = Field(
        default=10.0, ge=0, description="How long calls under way may go on after SIGTERM."
    )

    _split_lists = field_validator(
        "identity", "signing", "registry", "requests", "allowed_origins", mode="before"
    )(_split)

    @field_validator("identity", "signing", "registry", "requests")
    @classmethod
    def _endpoints(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value:
            raise ValueError("at least one address is needed")
        named = {Address.parse(text).is_name for text in value}
        if len(named) > 1:
            raise ValueError("names that are resolved and fixed addresses cannot be mixed")
        return value

    @field_validator("listen")
    @classmethod
    def _socket(cls, value: str) -> str:
        if Address.parse(value).is_name:
            raise ValueError("an IP address is needed to listen on")
        return value

    def endpoints(self, domain: str) -> tuple[Address, ...]:
        """Return the addresses of a domain's replicas."""
        return tuple(Address.parse(text) for text in getattr(self, domain))

    def collector(self) -> Address | None:
        """Return the address that spans are exported to, or None."""
        endpoint = os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT") or self.otlp_endpoint
        return Address.parse(endpoint) if endpoint else None
