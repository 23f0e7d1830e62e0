"""What can go wrong, as the domain says it, and as gRPC tells it to callers.

The domain raises one of the exceptions below and knows nothing of gRPC;
status_of is the single place that turns them into google.rpc.Status, for a
whole call and for one item of a batch alike. Anything else that is raised is a
defect: callers get INTERNAL with a fixed text, the log gets the rest.
"""

from __future__ import annotations

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

# The domain of ErrorInfo.reason (AIP-193): who defines these reasons.
ERROR_DOMAIN = "qagazsyz"


class DomainError(Exception):
    """Root of what a service refuses on purpose. The message goes to the caller."""

    code: grpc.StatusCode = grpc.StatusCode.FAILED_PRECONDITION
    reason: str = "FAILED_PRECONDITION"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message

    def details(self) -> list[Message]:
        """The google.rpc details beside ErrorInfo."""
        return []


class NotFound(DomainError):
    """What the caller may read and named does not exist."""

    code = grpc.StatusCode.NOT_FOUND
    reason = "NOT_FOUND"


class _FieldError(DomainError):
    def __init__(self, message: str, field: str = "") -> None:
        super().__init__(f"{field}: {message}" if field else message)
        self.field = field
        self.description = message

    def details(self) -> list[Message]:
        if not self.field:
            return []
        violation = error_details_pb2.BadRequest.FieldViolation(
            field=self.field, description=self.description
        )
        return [error_details_pb2.BadRequest(field_violations=[violation])]


class InvalidArgument(_FieldError):
    """A field's value can never be accepted; names the field by its path in the request."""

    code = grpc.StatusCode.INVALID_ARGUMENT
    reason = "INVALID_ARGUMENT"

    def __init__(self, field: str, description: str) -> None:
        super().__init__(description, field)


class AlreadyExists(_FieldError):
    """The thing is there already, or a request_id was used for another body."""

    code = grpc.StatusCode.ALREADY_EXISTS
    reason = "ALREADY_EXISTS"


class FailedPrecondition(DomainError):
    """The state of things forbids it; reason is stable and in upper snake case."""

    code = grpc.StatusCode.FAILED_PRECONDITION

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Aborted(DomainError):
    """Somebody else changed it meanwhile: read again and retry (an etag that differs)."""

    code = grpc.StatusCode.ABORTED
    reason = "CONCURRENT_CHANGE"


class PermissionDenied(DomainError):
    """Not the caller's. Says nothing, so that it tells nothing of what exists."""

    code = grpc.StatusCode.PERMISSION_DENIED
    reason = "PERMISSION_DENIED"

    def __init__(self) -> None:
        super().__init__("permission denied")


class Unauthenticated(DomainError):
    """No token, or one that does not hold, or a sign-in that failed."""

    code = grpc.StatusCode.UNAUTHENTICATED
    reason = "UNAUTHENTICATED"


class ResourceExhausted(DomainError):
    """Too much at once; carries how long to wait, in seconds."""

    code = grpc.StatusCode.RESOURCE_EXHAUSTED
    reason = "RESOURCE_EXHAUSTED"

    def __init__(self, message: str, retry_after_seconds: float) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds

    def details(self) -> list[Message]:
        delay = duration_pb2.Duration()
        delay.FromMilliseconds(int(self.retry_after_seconds * 1000))
        return [error_details_pb2.RetryInfo(retry_delay=delay)]


class Unavailable(DomainError):
    """A part that is needed cannot be reached now; the same call may succeed later."""

    code = grpc.StatusCode.UNAVAILABLE
    reason = "UNAVAILABLE"


class DeadlineExceeded(DomainError):
    """The caller's time ran out before the work was done."""

    code = grpc.StatusCode.DEADLINE_EXCEEDED
    reason = "DEADLINE_EXCEEDED"


def status_of(error: DomainError) -> status_pb2.Status:
    """The google.rpc.Status of a domain error, ErrorInfo first among its details."""
    info = error_details_pb2.ErrorInfo(reason=error.reason, domain=ERROR_DOMAIN)
    status = status_pb2.Status(code=error.code.value[0], message=error.message)
    for detail in [info, *error.details()]:
        packed = any_pb2.Any()
        packed.Pack(detail)
        status.details.append(packed)
    return status


def internal_status() -> status_pb2.Status:
    """What a caller learns of a defect: that there is one."""
    return status_pb2.Status(code=grpc.StatusCode.INTERNAL.value[0], message="internal error")
