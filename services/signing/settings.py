"""The settings of the signing service, beyond those of every service."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from pydantic import Field

from services.runtime.settings import ServiceSettings


def _cores() -> int:
    # The cores that this process may use: a container's share.
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class SigningSettings(ServiceSettings):
    """Settings of the signing service: environment variables QAGAZSYZ_…"""

    service: str = "signing"
    key_encryption_key: Path | None = Field(
        default=None,
        description="File of the key-encryption key, which seals private keys, mode 0600; "
        "key-encryption.key in the folder if unset.",
    )
    previous_key_encryption_key: Path | None = Field(
        default=None,
        description="File of the previous key-encryption key, needed until `qagazsyz keys rewrap` "
        "is done.",
    )
    credential: Path | None = Field(
        default=None,
        description="The service's own certificate and key, PEM; credential.pem if unset.",
    )
    backend: Literal["", "kernel", "portable"] = Field(
        default="",
        description="What verifies: kernel or portable; if empty, the kernel if it is installed.",
    )
    threads: int = Field(
        default_factory=_cores, ge=1, description="Threads that verify; one a core by default."
    )
    keys_per_organization: int = Field(
        default=1_000,
        ge=1,
        description="Managed keys that an organization may have; more are RESOURCE_EXHAUSTED.",
    )

    mobile_signing_name: str = Field(
        default="Qagazsyz",
        max_length=11,
        description="Short name of the platform, which stands before its own texts and people's on "
        "phones' screens.",
    )
    mobile_signing_organizations: str = Field(
        default="",
        description="Organizations that may ask people's phones for signatures, each with the "
        "short name, of at most 11 characters, that stands before its texts: subjects/…=NAME, by "
        "comma.",
    )
    mobile_signature_seconds: int = Field(
        default=180,
        ge=30,
        # A stream that watches says nothing meanwhile, and the gateway ends one after 300 s.
        le=240,
        description="Seconds that a signature on a phone is waited for.",
    )
    sim_transport_key: Path | None = Field(
        default=None,
        description="File of the key (AES-256, in hexadecimal) that SIMs' keys come wrapped under, "
        "mode 0600; without it none are imported.",
    )

    def key_encryption_key_file(self) -> Path:
        return self.key_encryption_key or self.folder / "key-encryption.key"

    def credential_file(self) -> Path:
        return self.credential or self.folder / "credential.pem"
