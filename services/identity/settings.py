"""Settings of the identity service: environment variables QAGAZSYZ_…"""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from services.runtime.settings import ServiceSettings


class IdentitySettings(ServiceSettings):
    """Settings of the identity service."""

    service: str = "identity"
    platform_name: str = Field(
        default="qagazsyz.example",
        description="The platform's name in sign-in challenges: one signed for another is refused.",
    )
    trust_folder: Path | None = Field(
        default=None,
        description="Outside authorities that are trusted; trust in the service's folder if unset.",
    )
    certificate_policies: str = Field(
        default="",
        description="Policy OIDs, with commas: an outside certificate's path must hold one.",
    )
    time_stamp_policy: str = Field(
        default="2.999.3161",
        pattern=r"[0-2](\.(0|[1-9][0-9]{0,17}))+",
        description="The policy OID of the platform's own time-stamps; one for examples if unset.",
    )
    revocation_hosts: str = Field(
        default="",
        description='Hosts, with commas ("host" or "host:port"), that may be asked about'
        " revocation; all public ones if empty.",
    )
    revocation_networks: str = Field(
        default="",
        description="Networks, with commas, that may be asked though they are not public.",
    )
