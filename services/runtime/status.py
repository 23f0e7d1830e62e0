"""Domain errors as google.rpc.Status with details (AIP-193): the only place that maps them."""

from __future__ import annotations

from google.protobuf import any_pb2, duration_pb2
from google.protobuf.message import Message
from google.rpc import code_pb2, error_details_pb2, status_pb2

from services.runtime.errors import DomainError, FieldError, ResourceExhausted

# The domain of ErrorInfo.reason (AIP-193): who defines these reasons.
ERROR_DOMAIN = "qagazsyz"


def status_of(error: DomainError) -> status_pb2.Status:
    """Return the status of a domain error, ErrorInfo first among its details."""
    info = error_details_pb2.ErrorInfo(reason=error.reason, domain=ERROR_DOMAIN)
    status = status_pb2.Status(code=int(error.code), message=error.message)
    for detail in [info, *_details(error)]:
        packed = any_pb2.Any()
        packed.Pack(detail)
        status.details.append(packed)
    return status


def internal_status() -> status_pb2.Status:
    """Return what a caller learns of a defect: that there is one."""
    return status_pb2.Status(code=code_pb2.INTERNAL, message="internal error")


def _details(error: DomainError) -> list[Message]:
    if isinstance(error, FieldError) and error.field:
        violation = error_details_pb2.BadRequest.FieldViolation(
            field=error.field, description=error.description
        )
        return [error_details_pb2.BadRequest(field_violations=[violation])]
    if isinstance(error, ResourceExhausted):
        delay = duration_pb2.Duration()
        delay.FromMilliseconds(int(error.retry_after_seconds * 1000))
        return [error_details_pb2.RetryInfo(retry_delay=delay)]
    return []
