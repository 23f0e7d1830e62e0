"""The contract's messages of public services."""

from __future__ import annotations

from typing import cast

from qagazsyz.common.v1 import signatures_pb2
from qagazsyz.requests.v1 import public_services_pb2 as pb
from services.requests.model.public_services import PublicService
from services.requests.model.service_requests import Proof
from services.requests.model.statements import mandate


def public_service_message(service: PublicService, platform: str) -> pb.PublicService:
    """Return the service, which everybody may read."""
    message = pb.PublicService(
        name=service.name,
        display_names=dict(service.display_names),
        provider=service.provider,
        output=service.output,
        time_limit_days=service.time_limit_days,
        keywords=dict(service.keywords or {}),
        short_number=service.short_number,
        retired=service.is_retired,
        etag=service.etag,
        key=service.key,
        output_template=service.output_template,
        version=service.version,
        appeal_body=service.appeal_body,
        mandate=mandate(service, platform).decode(),
    )
    for each in service.evidence:
        message.evidence.add(
            document_type=each.document_type,
            purpose=each.purpose,
            attributes=each.attributes,
            required=each.is_required,
        )
    approval = service.approval
    if approval is not None:
        message.approval.version = approval.version
        message.approval.officer = approval.officer
        message.approval.time.FromDatetime(approval.time)
        message.approval.signature.CopyFrom(signature_message(approval.proof))
    return message


def signature_message(proof: Proof) -> pb.StatementSignature:
    """Return a signature as the contract has it."""
    return pb.StatementSignature(
        certificate=proof.certificate,
        algorithm=cast("signatures_pb2.SignatureAlgorithm", proof.algorithm),
        signature=proof.signature,
    )
