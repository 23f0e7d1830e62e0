"""Settings that all services share, read from environment variables QAGAZSYZ_…"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from services.runtime.intake.message_bounds import MESSAGE_LIMIT_BYTES
from services.runtime.storage.database import sqlite_url, with_driver

BYTES_IN_FLIGHT = 128 * 1024 * 1024


class CannotStart(Exception):
    """A process cannot start: a missing file, an address in use. The message is one line."""


class ServiceSettings(BaseSettings):
    """The settings of all services; each service adds its own in its settings.py."""

    model_config = SettingsConfigDict(env_prefix="QAGAZSYZ_", extra="ignore")

    # The service's name is also its folder's and its database's.
    service: str = ""
    folder: Path = Field(description="The service's own folder: its secrets, its database.")
    listen: str = Field(
        default="127.0.0.1:0",
        description='Where the service takes calls: "host:port" or "unix:/path".',
    )
    database_url: str = Field(
        default="",
        description="PostgreSQL or CockroachDB by URL; SQLite in the folder if empty.",
    )
    platform_name: str = Field(
        default="qagazsyz.example",
        description="The platform's name in sign-in challenges and in what people sign for others "
        "to act on: what names another is refused.",
    )
    identity_address: str = Field(
        default="",
        description="Where identity takes calls; all other services need it.",
    )
    signing_address: str = Field(
        default="", description="Where signing takes calls; registry and requests need it."
    )
    registry_address: str = Field(
        default="", description="Where registry takes calls; requests needs it."
    )
    messaging_address: str = Field(
        default="",
        description="Where messaging takes calls; signing needs it for signatures on phones, and "
        "has none if it is empty.",
    )
    otlp_endpoint: str = Field(
        default="",
        description="OTLP/gRPC endpoint for spans; OTEL_EXPORTER_OTLP_ENDPOINT goes before it.",
    )
    trace_sample_ratio: float = Field(
        default=1.0, ge=0, le=1, description="Share of traces that are kept, where Envoy left it."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="debug, info, warning or error."
    )
    concurrent_calls: int = Field(
        default=1_000, ge=1, description="More calls at once are RESOURCE_EXHAUSTED."
    )
    bytes_in_flight: int = Field(
        default=BYTES_IN_FLIGHT,
        ge=MESSAGE_LIMIT_BYTES,
        description="Bytes of requests at once in one process; more are RESOURCE_EXHAUSTED.",
    )

    @field_validator("database_url")
    @classmethod
    def _database(cls, value: str) -> str:
        if value:
            with_driver(value)  # refuse a malformed URL before anything starts
        return value

    def database(self) -> str:
        """Return the database's URL: the configured one, else that of a file in the folder."""
        return self.database_url or sqlite_url(self.folder / f"{self.service}.db")
