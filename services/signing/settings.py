"""What the signing service can be told from outside, beyond what every service can."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from pydantic import Field

from services.runtime.server import MESSAGE_LIMIT_BYTES
from services.runtime.settings import ServiceSettings


def _cores() -> int:
    # A container's share, where the system tells it.
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class SigningSettings(ServiceSettings):
    """Settings of the signing service."""

    service: str = "signing"
    key_encryption_key: Path | None = Field(
        default=None,
        description="File of the key that encrypts private keys, mode 0600; "
        "key-encryption.key in the folder if unset.",
    )
    previous_key_encryption_key: Path | None = Field(
        default=None,
        description="File of the key before it, still read while `qagazsyz keys rewrap` runs.",
    )
    credential: Path | None = Field(
        default=None,
        description="The service's own certificate and key, PEM; credential.pem if unset.",
    )
    backend: Literal["", "kernel", "portable"] = Field(
        default="",
        description="What verifies: kernel or portable; the kernel where it is installed if empty.",
    )
    threads: int = Field(
        default_factory=_cores, ge=1, description="Threads that verify; one a core by default."
    )
    bytes_in_flight: int = Field(
        default=128 * 1024 * 1024,
        ge=MESSAGE_LIMIT_BYTES,
        description="Bytes of requests being verified at once in one process; "
        "more are RESOURCE_EXHAUSTED.",
    )

    def key_encryption_key_file(self) -> Path:
        return self.key_encryption_key or self.folder / "key-encryption.key"

    def credential_file(self) -> Path:
        return self.credential or self.folder / "credential.pem"
