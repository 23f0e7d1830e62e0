"""Consent requests: an organization asks a person, who signs, declines, or lets a day pass."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum

from qagazsyz.request_texts import ConsentStatement
from services.runtime.access import Caller, Role

# consent_requests.proto, CONSENT_REQUEST_STATE_LAPSED.
WAITS_FOR = timedelta(days=1)
# The same, CreateConsentRequest: more in a day are told to nobody, so that nobody is worn down.
PERSON_DAILY_LIMIT = 3
ORGANIZATION_DAILY_LIMIT = 1_000


class ConsentRequestState(IntEnum):
    """Numbered as qagazsyz.registry.v1.ConsentRequestState."""

    UNSPECIFIED = 0
    WAITING = 1
    GIVEN = 2
    DECLINED = 3
    LAPSED = 4


@dataclass(frozen=True, slots=True)
class ConsentRequest:
    """An organization's question whether a person consents."""

    name: str
    organization: str
    # "" if it asks nobody.
    subject: str
    document_type: str
    purpose: str
    purpose_text: str
    create_time: datetime
    # Of the consent, whole seconds.
    expire_time: datetime
    stored_state: ConsentRequestState = ConsentRequestState.WAITING
    consent: str = ""

    def state(self, now: datetime) -> ConsentRequestState:
        """Return where it stands at that time."""
        if self.stored_state is not ConsentRequestState.WAITING:
            return self.stored_state
        ends = min(self.create_time + WAITS_FOR, self.expire_time)
        return ConsentRequestState.LAPSED if now >= ends else ConsentRequestState.WAITING

    def statement(self, platform: str) -> bytes:
        """Return what the person signs."""
        return ConsentStatement(
            platform=platform,
            request=self.name,
            subject=self.subject,
            organization=self.organization,
            document_type=self.document_type,
            purpose=self.purpose,
            purpose_text=self.purpose_text,
            expire_time=self.expire_time,
        ).encode()


def is_asked(caller: Caller, request: ConsentRequest) -> bool:
    """Return whether the request asks the caller, acting for themselves."""
    return caller.has(Role.ROLE_CITIZEN) and caller.subject == request.subject != ""


def may_read(caller: Caller, request: ConsentRequest) -> bool:
    """Return whether the caller may see it: who is asked, and the organization that asks."""
    asks = caller.has(Role.ROLE_OFFICER) and caller.organization == request.organization
    return asks or is_asked(caller, request)
