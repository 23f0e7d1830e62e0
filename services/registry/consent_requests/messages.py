"""The contract's messages of consent requests."""

from __future__ import annotations

from datetime import datetime
from typing import cast

from qagazsyz.registry.v1 import consent_requests_pb2
from services.registry.model.consent_requests import ConsentRequest, ConsentRequestState
from services.runtime.clock import to_timestamp


def consent_request_message(
    request: ConsentRequest, now: datetime, *, platform: str, for_organization: bool
) -> consent_requests_pb2.ConsentRequest:
    """Return the request as its readers get it. The organization does not learn whether it asks
    anybody until somebody consents."""
    state = request.state(now)
    message = consent_requests_pb2.ConsentRequest(
        name=request.name,
        organization=request.organization,
        document_type=request.document_type,
        purpose=request.purpose,
        purpose_text=request.purpose_text,
        create_time=to_timestamp(request.create_time),
        expire_time=to_timestamp(request.expire_time),
        state=cast("consent_requests_pb2.ConsentRequestState", int(state)),
        consent=request.consent,
    )
    if not for_organization or state is ConsentRequestState.GIVEN:
        message.subject = request.subject
    if not for_organization:
        message.statement = request.statement(platform).decode()
    return message
