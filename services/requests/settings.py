"""The settings of the requests service, beyond those of every service."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from services.runtime.settings import ServiceSettings

HOLIDAYS = Path(__file__).parent / "holidays.txt"


class RequestsSettings(ServiceSettings):
    """Settings of the requests service: environment variables QAGAZSYZ_…"""

    service: str = "requests"
    holidays: Path | None = Field(
        default=None,
        description="File of the days that differ from the week, services/requests/holidays.txt "
        "if unset.",
    )
    text_key: Path | None = Field(
        default=None,
        description="File of the key that seals forms, questions and answers, mode 0600; text.key "
        "in the folder if unset.",
    )
    previous_text_key: Path | None = Field(
        default=None, description="File of the text key before, for what it sealed."
    )
    credential: Path | None = Field(
        default=None,
        description="The service's own certificate and key, PEM; credential.pem if unset.",
    )

    def credential_file(self) -> Path:
        return self.credential or self.folder / "credential.pem"

    def text_key_file(self) -> Path:
        return self.text_key or self.folder / "text.key"

    def holidays_file(self) -> Path:
        return self.holidays or HOLIDAYS
