"""The settings of the messaging service, beyond those of every service."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from services.messaging.outbox.rules import MessagePriority, is_source
from services.runtime.settings import ServiceSettings


class MessagingSettings(ServiceSettings):
    """Settings of the messaging service: environment variables QAGAZSYZ_…"""

    service: str = "messaging"
    smpp_host: str = Field(
        default="",
        description="The host of the operator's SMSC; without it `up` starts no messaging.",
    )
    smpp_port: int = Field(
        default=2775, ge=1, le=65_535, description="The SMSC's port; 3550 is usual with TLS."
    )
    smpp_tls: Literal["on", "off"] = Field(
        default="on",
        description="Whether the connection to the SMSC is by TLS 1.2 or newer, its name checked; "
        "off sends numbers and texts in clear: for a private line or a simulator.",
    )
    smpp_tls_authorities: Path | None = Field(
        default=None,
        description="File of the authorities (PEM) that the SMSC's certificate is checked by; the "
        "machine's own if unset.",
    )
    smpp_system_id: str = Field(
        default="", max_length=15, description="The platform's name at the SMSC."
    )
    smpp_password: Path | None = Field(
        default=None,
        description="File of the password at the SMSC, one line of at most 8 characters, mode "
        "0600; smpp.password in the folder if unset.",
    )
    smpp_system_type: str = Field(
        default="", max_length=12, description="The system type, where the operator asks for one."
    )
    smpp_source: str = Field(
        default="1414", description="The short number or name that messages come from."
    )
    smpp_default_alphabet: Literal["gsm7", "latin1"] = Field(
        default="gsm7",
        description="What data coding 0 is at the SMSC; with latin1 all texts go in UCS-2.",
    )
    smpp_window: int = Field(
        default=16, ge=1, le=1_000, description="Parts with the SMSC at once, unanswered."
    )
    smpp_rate: float = Field(
        default=20.0, gt=0, le=10_000, description="Parts a second that the SMSC takes."
    )
    smpp_enquire_link_seconds: float = Field(
        default=30.0, gt=0, description="After such a silence the connection is tried."
    )
    smpp_reconnect_seconds: float = Field(
        default=1.0,
        gt=0,
        le=60,
        description="The first pause before the connection is made again; it doubles up to 60.",
    )
    message_key: Path | None = Field(
        default=None,
        description="File of the key that seals texts and numbers, mode 0600; message.key in the "
        "folder if unset.",
    )
    previous_message_key: Path | None = Field(
        default=None,
        description="File of the message key before, until what it sealed is erased.",
    )
    lookup_key: Path | None = Field(
        default=None,
        description="File of the key of the hashes that numbers are found by, mode 0600; "
        "lookup.key in the folder if unset. It stays.",
    )
    messages_kept_days: float = Field(
        default=7.0,
        ge=1,
        le=365,
        description="Days that a message is kept after it ended; then it is deleted.",
    )
    security_messages_a_day: int = Field(
        default=20, ge=1, description="Messages a number gets a day of priority SECURITY."
    )
    own_messages_a_day: int = Field(default=100, ge=1, description="Likewise of priority OWN.")
    organization_messages_a_day: int = Field(
        default=30, ge=1, description="Likewise of priority ORGANIZATION."
    )
    help_messages_a_day: int = Field(default=10, ge=1, description="Likewise of priority HELP.")
    credential: Path | None = Field(
        default=None,
        description="The service's own certificate and key, PEM; credential.pem if unset.",
    )

    @field_validator("smpp_source")
    @classmethod
    def _source(cls, value: str) -> str:
        if not is_source(value):
            raise ValueError("not 1 to 15 digits or 1 to 11 Latin letters and digits")
        return value

    def credential_file(self) -> Path:
        return self.credential or self.folder / "credential.pem"

    def smpp_password_file(self) -> Path:
        return self.smpp_password or self.folder / "smpp.password"

    def message_key_file(self) -> Path:
        return self.message_key or self.folder / "message.key"

    def lookup_key_file(self) -> Path:
        return self.lookup_key or self.folder / "lookup.key"

    def allowances(self) -> dict[MessagePriority, int]:
        """Return how many messages a number gets a day, by priority."""
        return {
            MessagePriority.SECURITY: self.security_messages_a_day,
            MessagePriority.OWN: self.own_messages_a_day,
            MessagePriority.ORGANIZATION: self.organization_messages_a_day,
            MessagePriority.HELP: self.help_messages_a_day,
        }
