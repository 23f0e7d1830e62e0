"""The texts that people and officers sign about services and requests.

Mandates and applicants' statements are those of the client (qagazsyz.request_texts), which the
registry and signing parse and check themselves. An officer's refusal and a decision of an appeal
stay here, in the same form (qagazsyz.canonical_texts).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime

from qagazsyz import request_texts
from qagazsyz.canonical_texts import encode, format_seconds
from qagazsyz.signed_texts import APPEAL, REFUSAL
from services.requests.model.public_services import PublicService
from services.requests.model.service_requests import Ground, Refusal


def mandate(service: PublicService, platform: str) -> bytes:
    """Return what an officer of the provider signs to approve exactly this version."""
    return request_texts.Mandate(
        platform=platform,
        public_service=service.name,
        service_version=service.version,
        provider=service.provider,
        time=service.mandate_time,
        evidence=_evidence(service),
        required=tuple(each.is_required for each in service.evidence),
        output=service.output,
        time_limit_days=service.time_limit_days,
        key=service.key,
        output_template=service.output_template,
        appeal_body=service.appeal_body,
    ).encode()


def statement(
    service: PublicService,
    *,
    platform: str,
    request: str,
    applicant: str,
    at_office: bool,
    form: str,
    expire_time: datetime,
    nonce: bytes,
) -> bytes:
    """Return what an applicant, or an officer in their place, signs to submit a request.

    expire_time: in whole seconds.
    """
    return request_texts.RequestStatement(
        platform=platform,
        request=request,
        public_service=service.name,
        service_version=service.version,
        provider=service.provider,
        applicant=applicant,
        at_office=at_office,
        form_sha256=hashlib.sha256(form.encode()).digest(),
        evidence=_evidence(service),
        expire_time=expire_time,
        nonce=nonce,
    ).encode()


def _evidence(service: PublicService) -> tuple[request_texts.Evidence, ...]:
    return tuple(
        request_texts.Evidence(
            document_type=each.document_type, purpose=each.purpose, attributes=each.attributes
        )
        for each in service.evidence
    )


def refusal_statement(request: str, refusal: Refusal) -> bytes:
    """Return what an officer signs to refuse a request."""
    return encode(
        REFUSAL,
        {
            "request": request,
            "grounds": _grounds(refusal.grounds),
            "text_sha256": hashlib.sha256(refusal.text.encode()).hexdigest(),
            "hearing_time": format_seconds(refusal.hearing_time),
        },
    )


def appeal_decision(request: str, grounds: Sequence[Ground], *, is_upheld: bool) -> bytes:
    """Return what an officer of the appeal body signs to decide an appeal."""
    return encode(APPEAL, {"request": request, "upheld": is_upheld, "grounds": _grounds(grounds)})


def _grounds(grounds: Sequence[Ground]) -> list[dict[str, str]]:
    return [{"act": each.act, "article": each.article} for each in grounds]
