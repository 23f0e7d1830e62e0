"""Requests about consent requests, parsed, and checked as far as needs no other service."""

from __future__ import annotations

import re
from datetime import datetime

from qagazsyz.registry.v1 import consent_requests_pb2
from services.registry.documents.requests import parse_time
from services.registry.lookups.requests import PURPOSE_TEXT_LENGTH
from services.registry.model.consent_requests import ConsentRequest
from services.registry.model.consents import check_expire_time, check_purpose
from services.registry.model.resource_names import check_name, check_text, new_name
from services.runtime.access import Caller
from services.runtime.clock import Randomness
from services.runtime.errors import InvalidArgument

_IIN = re.compile(r"[0-9]{12}")


def parse_consent_request(
    request: consent_requests_pb2.CreateConsentRequestRequest,
    caller: Caller,
    now: datetime,
    randomness: Randomness,
) -> ConsentRequest:
    """Parse a request of the caller's organization, yet to be addressed. Raises InvalidArgument."""
    if not _IIN.fullmatch(request.iin):
        raise InvalidArgument("iin", "not twelve digits")
    message, field = request.consent_request, "consent_request"
    asked = None
    if message.HasField("expire_time"):
        # What is signed has whole seconds, and the stored time must be the signed one.
        if message.expire_time.nanos:
            raise InvalidArgument(f"{field}.expire_time", "must be in whole seconds")
        asked = parse_time(message.expire_time, f"{field}.expire_time")
    expire_time = check_expire_time(asked, now, f"{field}.expire_time")
    text = check_text(message.purpose_text, PURPOSE_TEXT_LENGTH, f"{field}.purpose_text")
    if not text.strip():
        raise InvalidArgument(f"{field}.purpose_text", "is required")
    return ConsentRequest(
        name=new_name("consentRequests", now, randomness),
        organization=caller.organization,
        subject="",
        document_type=check_name(message.document_type, "documentTypes", f"{field}.document_type"),
        purpose=check_purpose(message.purpose, f"{field}.purpose"),
        purpose_text=text,
        create_time=now,
        expire_time=expire_time.replace(microsecond=0),
    )
