"""Requests about public services, parsed."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from qagazsyz.requests.v1 import public_services_pb2 as pb
from services.requests.model.public_services import Evidence, PublicService, name_of
from services.requests.model.resource_names import check_name
from services.requests.public_services.interface import SignatureParts
from services.runtime.errors import Aborted
from services.runtime.intake.update_masks import changed_paths

# What an update may change, by the domain's names.
_FIELDS = {
    "display_names": "display_names",
    "evidence": "evidence",
    "output": "output",
    "time_limit_days": "time_limit_days",
    "keywords": "keywords",
    "short_number": "short_number",
    "retired": "is_retired",
    "key": "key",
    "output_template": "output_template",
    "appeal_body": "appeal_body",
}


def parse_new_service(request: pb.CreatePublicServiceRequest, now: datetime) -> PublicService:
    """Return the service that is asked for, of version 1. Raises InvalidArgument."""
    return _parse(request.public_service, name_of(request.public_service_id), now)


def parse_update(request: pb.UpdatePublicServiceRequest, present: PublicService) -> PublicService:
    """Return the present service with what the update changes. Raises InvalidArgument, and Aborted
    for the etag of another version."""
    message = request.public_service
    if message.etag and message.etag != present.etag:
        raise Aborted("the service changed since you read it")
    wanted = _parse(message, present.name, present.mandate_time)
    paths = changed_paths(message, request.update_mask, updatable=tuple(_FIELDS))
    return replace(present, **{_FIELDS[path]: getattr(wanted, _FIELDS[path]) for path in paths})


def service_name(name: str, field: str = "name") -> str:
    """Return the name of a public service. Raises InvalidArgument."""
    return check_name(name, "publicServices", field)


def parse_signature(message: pb.StatementSignature) -> SignatureParts:
    """Return the parts of a signature."""
    return SignatureParts(message.certificate, int(message.algorithm), message.signature)


def _parse(message: pb.PublicService, name: str, now: datetime) -> PublicService:
    return PublicService(
        name=name,
        display_names=dict(message.display_names),
        provider=message.provider,
        output=message.output,
        mandate_time=now,
        evidence=tuple(
            Evidence(each.document_type, each.purpose, tuple(each.attributes), each.required)
            for each in message.evidence
        ),
        time_limit_days=message.time_limit_days,
        keywords=dict(message.keywords),
        short_number=message.short_number,
        is_retired=message.retired,
        key=message.key,
        output_template=message.output_template,
        appeal_body=message.appeal_body,
    )
