"""What can go wrong, as the domain says it, and as gRPC tells it to callers.

The domain raises one of the exceptions below and imports nothing of gRPC;
status.py turns them into google.rpc.Status, for a whole call and for one item
of a batch alike. Anything else that is raised is a defect: callers get INTERNAL
with a fixed text, the log gets the rest.
"""

from __future__ import annotations

from enum import IntEnum


class Code(IntEnum):
    """The numbers of google.rpc.Code that a service refuses with on purpose."""

    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    UNAVAILABLE = 14
    UNAUTHENTICATED = 16


class DomainError(Exception):
    """Root of what a service refuses on purpose. The message goes to the caller."""

    code: Code = Code.FAILED_PRECONDITION
    reason: str = "FAILED_PRECONDITION"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class NotFound(DomainError):
    """What the caller may read and named does not exist."""

    code = Code.NOT_FOUND
    reason = "NOT_FOUND"


class FieldError(DomainError):
    """Root of refusals that may name a field by its path in the request;  where none is named."""

    def __init__(self, message: str, field: str = "") -> None:
        super().__init__(f"{field}: {message}" if field else message)
        self.field = field
        self.description = message


class InvalidArgument(FieldError):
    """A field's value can never be accepted; names the field by its path in the request."""

    code = Code.INVALID_ARGUMENT
    reason = "INVALID_ARGUMENT"

    def __init__(self, field: str, description: str) -> None:
        super().__init__(description, field)


class AlreadyExists(FieldError):
    """The thing is there already, or a request_id was used for another body."""

    code = Code.ALREADY_EXISTS
    reason = "ALREADY_EXISTS"


class FailedPrecondition(DomainError):
    """The state of things forbids it; reason is stable and in upper snake case."""

    code = Code.FAILED_PRECONDITION

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Aborted(DomainError):
    """Somebody else changed it meanwhile: read again and retry (an etag that differs)."""

    code = Code.ABORTED
    reason = "CONCURRENT_CHANGE"


class PermissionDenied(DomainError):
    """Not the caller's. Says nothing, so that it tells nothing of what exists."""

    code = Code.PERMISSION_DENIED
    reason = "PERMISSION_DENIED"

    def __init__(self) -> None:
        super().__init__("permission denied")


class Unauthenticated(DomainError):
    """No token, or one that does not hold, or a sign-in that failed."""

    code = Code.UNAUTHENTICATED
    reason = "UNAUTHENTICATED"


class ResourceExhausted(DomainError):
    """Too much at once; carries how long to wait, in seconds."""

    code = Code.RESOURCE_EXHAUSTED
    reason = "RESOURCE_EXHAUSTED"

    def __init__(self, message: str, retry_after_seconds: float) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class Unavailable(DomainError):
    """A part that is needed cannot be reached now; the same call may succeed later."""

    code = Code.UNAVAILABLE
    reason = "UNAVAILABLE"


class DeadlineExceeded(DomainError):
    """The caller's time ran out before the work was done."""

    code = Code.DEADLINE_EXCEEDED
    reason = "DEADLINE_EXCEEDED"
