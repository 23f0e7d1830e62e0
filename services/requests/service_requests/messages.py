"""The contract's messages of requests."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import cast

from qagazsyz.requests.v1 import service_requests_pb2 as pb
from services.requests.model.service_requests import Refusal, ServiceRequest
from services.requests.model.statements import refusal_statement
from services.requests.model.states import ServiceRequestState
from services.requests.model.working_days import Calendar
from services.requests.service_requests.store import Event
from services.runtime.access import Caller, Role
from services.runtime.clock import to_timestamp


def request_message(
    request: ServiceRequest,
    *,
    caller: Caller,
    now: datetime,
    calendar: Calendar,
    events: Sequence[Event] | None = None,
) -> pb.ServiceRequest:
    """Return a request as its reader gets it: auditors no texts of people.

    events: its history; None for a list, which has neither history nor form.
    """
    sees_texts = not caller.has(Role.ROLE_AUDITOR) or caller.subject == request.applicant
    message = pb.ServiceRequest(
        name=request.name,
        public_service=request.public_service,
        applicant=request.applicant,
        channel=cast("pb.ServiceRequestChannel", int(request.channel)),
        state=cast("pb.ServiceRequestState", int(request.state)),
        create_time=to_timestamp(request.create_time),
        submit_time=to_timestamp(request.submit_time),
        due_time=to_timestamp(request.due_time(now, calendar)),
        end_time=to_timestamp(request.end_time),
        output=request.output,
        output_on_paper=request.output_on_paper,
        etag=request.etag,
        service_version=request.service_version,
    )
    for each in request.evidence:
        message.evidence.add(
            document_type=each.document_type,
            access=each.access,
            document=each.document,
            source=cast("pb.EvidenceSource", int(each.source)),
        )
    if request.refusal is not None:
        message.refusal.CopyFrom(_refusal_message(request.refusal, sees_texts=sees_texts))
    if sees_texts:
        message.question = request.question
        message.statement = request.statement.decode()
        if request.state is ServiceRequestState.HEARING and request.refusal is not None:
            message.refusal_statement = refusal_statement(request.name, request.refusal).decode()
    if events is not None:
        if sees_texts:
            message.form = request.form
        for event in events:
            message.events.add(
                state=cast("pb.ServiceRequestState", int(event.state)),
                time=to_timestamp(event.time),
                text=event.text if sees_texts else "",
                log_index=event.log_index,
            )
    return message


def _refusal_message(refusal: Refusal, *, sees_texts: bool) -> pb.Refusal:
    message = pb.Refusal(
        text=refusal.text if sees_texts else "", hearing_time=to_timestamp(refusal.hearing_time)
    )
    for each in refusal.grounds:
        message.grounds.add(act=each.act, article=each.article)
    return message
