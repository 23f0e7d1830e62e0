"""What identity can be told from outside."""

from __future__ import annotations

from pydantic import Field

from services.runtime.settings import ServiceSettings


class IdentitySettings(ServiceSettings):
    """Settings of the identity service."""

    service: str = "identity"
    platform_name: str = Field(
        default="qagazsyz.example",
        description="The platform's name in sign-in challenges: one signed for another is refused.",
    )
