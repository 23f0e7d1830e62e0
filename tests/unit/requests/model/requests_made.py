"""Requests made for tests of the rules alone."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from services.requests.model.drafts import Drafts
from services.requests.model.public_services import Approval, Evidence, PublicService
from services.requests.model.service_requests import Proof, ServiceRequest
from services.requests.model.states import ServiceRequestChannel
from services.requests.model.working_days import Calendar
from services.requests.settings import HOLIDAYS
from services.runtime.clock import system_randomness

START = datetime(2026, 11, 6, 5, 30, tzinfo=UTC)
CALENDAR = Calendar.parse(HOLIDAYS.read_text())
PROOF = Proof("subjects/person", b"certificate", 1, b"signature")
ADDRESS = "documentTypes/address"


def service(**changes: Any) -> PublicService:
    values: dict[str, Any] = {
        "name": "publicServices/address",
        "display_names": {"en": "Address"},
        "provider": "subjects/provider",
        "output": "documentTypes/certificate",
        "mandate_time": START,
        "evidence": (Evidence(ADDRESS, "address", (), True),),
        "time_limit_days": 3,
        "appeal_body": "subjects/court",
        "approval": Approval(1, "subjects/officer", START, PROOF),
    }
    return PublicService(**values | changes)


def draft(
    now: datetime = START,
    channel: ServiceRequestChannel = ServiceRequestChannel.API,
    of: PublicService | None = None,
) -> ServiceRequest:
    drafts = Drafts("qagazsyz.example", system_randomness)
    made = drafts.make(of or service(), applicant="subjects/person", channel=channel, now=now)
    return made.request
