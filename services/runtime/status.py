"""Map errors to google.rpc.Status with details (AIP-193); nothing else does."""

from __future__ import annotations

import logging
import traceback
from typing import Any

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.protobuf.message import Message
from google.rpc import code_pb2, error_details_pb2, status_pb2

from services.runtime.errors import (
    DomainError,
    FieldError,
    QuotaExceeded,
    ResourceExhausted,
    Unavailable,
)

# The domain of ErrorInfo.reason (AIP-193): who defines these reasons.
ERROR_DOMAIN = "qagazsyz"

_CODES = {code.value[0]: code for code in grpc.StatusCode}

log = logging.getLogger(__name__)


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
    """Return the status of a defect, the same for each: its text could hold personal data."""
    return status_pb2.Status(code=code_pb2.INTERNAL, message="internal error")


def status_of_failure(error: Exception, method: str) -> status_pb2.Status:
    """Return the status of whatever a method raised; log a defect by its place, without its text.

    method: "package.Service/Method", for the log.
    """
    if isinstance(error, DomainError):
        return status_of(error)
    frames = [
        f"{frame.filename.rsplit('/', 1)[-1]}:{frame.lineno}:{frame.name}"
        for frame in traceback.extract_tb(error.__traceback__)
    ]
    log.error(
        "internal error",
        extra={"rpc.method": method, "exception": type(error).__name__, "frames": frames},
    )
    return internal_status()


async def abort(context: grpc.aio.ServicerContext[Any, Any], status: status_pb2.Status) -> None:
    """End the call with the status and its details. Always raises."""
    await context.abort(
        _CODES[status.code],
        status.message,
        (("grpc-status-details-bin", status.SerializeToString()),),
    )


def _details(error: DomainError) -> list[Message]:
    if isinstance(error, FieldError) and error.field:
        violation = error_details_pb2.BadRequest.FieldViolation(
            field=error.field, description=error.description
        )
        return [error_details_pb2.BadRequest(field_violations=[violation])]
    if isinstance(error, ResourceExhausted | Unavailable):
        delay = duration_pb2.Duration()
        delay.FromMilliseconds(int(error.retry_after_seconds * 1000))
        return [error_details_pb2.RetryInfo(retry_delay=delay)]
    if isinstance(error, QuotaExceeded):
        exceeded = error_details_pb2.QuotaFailure.Violation(
            subject=error.subject, description=error.message
        )
        return [error_details_pb2.QuotaFailure(violations=[exceeded])]
    return []
