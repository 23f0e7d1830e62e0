"""Settings of the identity service: environment variables QAGAZSYZ_…"""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from services.runtime.settings import ServiceSettings


class IdentitySettings(ServiceSettings):
    """Settings of the identity service."""

    service: str = "identity"
    trust_folder: Path | None = Field(
        default=None,
        description="Folder of external authorities that are trusted; trust in the service's own if"
        " unset.",
    )
    certificate_policies: str = Field(
        default="",
        description="Policy OIDs, with commas: an external certificate's path must have one.",
    )
    inhibit_policy_mapping: bool = Field(
        default=False,
        description="Whether policy mappings in external authorities' certificates do not count.",
    )
    inhibit_any_policy: bool = Field(
        default=False,
        description="Whether anyPolicy in external certificates stands for no other policy.",
    )
    time_stamp_policy: str = Field(
        default="2.999.3161",
        pattern=r"[0-2](\.(0|[1-9][0-9]{0,17}))+",
        description="The policy OID of the platform's own time-stamps; an example's if unset.",
    )
    revocation_hosts: str = Field(
        default="",
        description='Hosts, with commas ("host" or "host:port"), that may be requested for'
        " revocation; all public ones if empty.",
    )
    revocation_networks: str = Field(
        default="",
        description="Networks, with commas, that may be requested although they are not public.",
    )
    revocation_grace_seconds: int = Field(
        default=0,
        ge=0,
        description="Seconds after a time that a stored list must have been made to prove that an"
        " expired external certificate was not revoked then.",
    )
    ocsp_made_ahead: str = Field(
        default="",
        description='Hosts, with commas ("host" or "host:port"), of OCSP responders that make their'
        " answers ahead: without a nonce one may be 24 hours old, else one hour; never beyond its"
        " nextUpdate.",
    )
    sim_swap_reporters: str = Field(
        default="",
        description="Organizations (subjects/…), with commas, whose information systems may report"
        " SIM swaps: mobile networks.",
    )
    phone_unseen_days: int = Field(
        default=365,
        ge=1,
        description="Days without a signature of its SIM after which a phone gets no text until it"
        " is confirmed again: numbers are given to others.",
    )
    phone_numbers_kept_days: int = Field(
        default=90,
        ge=0,
        description="Days after which the number of a phone that has ended is erased.",
    )
    membership_delay_seconds: int = Field(
        default=86_400,
        ge=0,
        description="Seconds from the second operator's approval of a membership of the platform's"
        " own organization to its beginning.",
    )
