"""The registry's settings, beside those of every service."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Literal

from pydantic import Field

from services.runtime.settings import ServiceSettings

DEFAULT_ORIGIN = "log.qagazsyz.example"


class RegistrySettings(ServiceSettings):
    """Settings of the registry."""

    service: str = "registry"
    log_origin: str = Field(
        default=DEFAULT_ORIGIN, description="The log's name, the first line of each checkpoint."
    )
    log_key: Path | None = Field(
        default=None,
        description="File of the key that signs checkpoints (Ed25519, PKCS#8 PEM), mode 0600; "
        "log.key in the folder if unset.",
    )
    log_witnesses: str = Field(
        default="",
        description="Verifier keys of witnesses whose cosignatures are kept, by space.",
    )
    log_witness_urls: str = Field(
        default="",
        description="Witnesses that are asked for cosignatures (C2SP tlog-witness): name=URL by "
        "space, the name of a key in QAGAZSYZ_LOG_WITNESSES.",
    )
    log_witness_seconds: float = Field(
        default=30.0, ge=1.0, description="Seconds between two rounds of asking witnesses."
    )
    log_entry_version: Literal[1, 2] = Field(
        default=2,
        description="Version of the log's new entries. Set 1 while a replica of an older release "
        "runs: identity's events wait then, and changes of types are not logged.",
    )
    contents: str = Field(
        default="",
        description='Where contents are kept: a folder or "s3://bucket/prefix"; '
        "contents in the folder if empty.",
    )
    content_key: Path | None = Field(
        default=None,
        description="File of the key that wraps the contents' keys, mode 0600; "
        "content.key in the folder if unset.",
    )
    credential: Path | None = Field(
        default=None,
        description="The service's own certificate and key, PEM; credential.pem if unset.",
    )

    statement_version_1_until: date | None = Field(
        default=None,
        description="Day (UTC) from which documents' statements of version 1, which do not name "
        "their issuer, are refused; if unset, 90 days after the registry first started with "
        "version 2.",
    )

    def version_1_end(self) -> datetime | None:
        until = self.statement_version_1_until
        return None if until is None else datetime.combine(until, time(), UTC)

    def log_key_file(self) -> Path:
        return self.log_key or self.folder / "log.key"

    def content_key_file(self) -> Path:
        return self.content_key or self.folder / "content.key"

    def credential_file(self) -> Path:
        return self.credential or self.folder / "credential.pem"

    def contents_location(self) -> str:
        return self.contents or str(self.folder / "contents")
