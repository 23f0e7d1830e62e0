"""New requests: drafts and offers, with the statement that their applicant signs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from qagazsyz.json_documents import parse_json
from qagazsyz.request_texts import NONCE_BYTES
from services.requests.model.public_services import PublicService
from services.requests.model.resource_names import new_name
from services.requests.model.service_requests import (
    DRAFT_LASTS,
    FORM_BYTES,
    OFFER_LASTS,
    Change,
    ServiceRequest,
)
from services.requests.model.statements import statement
from services.requests.model.states import ServiceRequestChannel, ServiceRequestState
from services.runtime.clock import Randomness
from services.runtime.errors import InvalidArgument

State, Channel = ServiceRequestState, ServiceRequestChannel

# Where a request begins, by how it came: an officer's draft waits for a signature at once.
_FIRST_STATES = {
    Channel.API: State.DRAFT,
    Channel.PAGE: State.DRAFT,
    Channel.SMS: State.DRAFT,
    Channel.OFFICE: State.AWAITING_SIGNATURE,
    Channel.PROACTIVE: State.OFFERED,
}


@dataclass(frozen=True, slots=True)
class Drafts:
    """Makes requests, with what each statement names."""

    platform: str
    randomness: Randomness

    def make(
        self,
        service: PublicService,
        *,
        applicant: str,
        channel: ServiceRequestChannel,
        form: str = "",
        now: datetime,
    ) -> Change:
        """Return a new request for the service. Raises InvalidArgument, and FailedPrecondition
        where nobody can ask for it."""
        service.check_is_offered()
        check_form(form)
        name = new_name("serviceRequests", now, self.randomness)
        lasts = OFFER_LASTS if channel is Channel.PROACTIVE else DRAFT_LASTS
        expire_time = _whole_seconds(now) + lasts
        request = ServiceRequest(
            name=name,
            public_service=service.name,
            service_version=service.version,
            provider=service.provider,
            appeal_body=service.appeal_body,
            time_limit_days=service.time_limit_days,
            applicant=applicant,
            channel=channel,
            state=_FIRST_STATES[channel],
            create_time=now,
            form=form,
            statement=statement(
                service,
                platform=self.platform,
                request=name,
                applicant=applicant,
                at_office=channel is Channel.OFFICE,
                form=form,
                expire_time=expire_time,
                nonce=self.randomness(NONCE_BYTES),
            ),
            statement_expire_time=expire_time,
            lapse_time=expire_time,
        )
        return Change(request, None, now)


def check_form(form: str) -> None:
    """Raise InvalidArgument unless a form is empty, or one JSON object with distinct names."""
    field = "service_request.form"
    if len(form.encode()) > FORM_BYTES:
        raise InvalidArgument(field, f"more than {FORM_BYTES} bytes")
    if not form:
        return
    try:
        members = parse_json(form)
    except ValueError:
        raise InvalidArgument(field, "not JSON with distinct names") from None
    if not isinstance(members, dict):
        raise InvalidArgument(field, "not a JSON object")


def _whole_seconds(moment: datetime) -> datetime:
    return moment - timedelta(microseconds=moment.microsecond)
