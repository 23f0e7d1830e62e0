"""Errors that a service raises on purpose, named after the codes of google.rpc.Code.

The domain raises them without importing gRPC; status.py maps them to google.rpc.Status, for a whole
call or for one item of a batch. Any other exception is a defect: the caller gets INTERNAL with a
fixed text, and the log says where it was raised.
"""

from __future__ import annotations

from enum import IntEnum


class Code(IntEnum):
    """The codes of google.rpc.Code that a service answers on purpose, by their numbers there."""

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
    """Base of all errors here. The caller reads the message: it must hold no personal data.

    reason: ErrorInfo.reason (AIP-193), in upper snake case, stable over versions.
    """

    code: Code = Code.FAILED_PRECONDITION
    reason: str = "FAILED_PRECONDITION"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class NotFound(DomainError):
    """The named resource does not exist, and the caller may know so."""

    code = Code.NOT_FOUND
    reason = "NOT_FOUND"


class FieldError(DomainError):
    """Base of errors that name a field of the request by its path, "document.title"; "" if none."""

    def __init__(self, message: str, field: str = "") -> None:
        super().__init__(f"{field}: {message}" if field else message)
        self.field = field
        self.description = message


class InvalidArgument(FieldError):
    """A field has a value that is refused whatever the state of the service."""

    code = Code.INVALID_ARGUMENT
    reason = "INVALID_ARGUMENT"

    def __init__(self, field: str, description: str) -> None:
        super().__init__(description, field)


class AlreadyExists(FieldError):
    """The resource exists already, or the request_id was used for another request."""

    code = Code.ALREADY_EXISTS
    reason = "ALREADY_EXISTS"


class FailedPrecondition(DomainError):
    """The state of the service forbids the call; reason says which state."""

    code = Code.FAILED_PRECONDITION

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Aborted(DomainError):
    """The resource changed since the caller read it (its etag differs): read it again and retry."""

    code = Code.ABORTED
    reason = "CONCURRENT_CHANGE"


class PermissionDenied(DomainError):
    """The caller may not do this. The text is always the same, so that a refusal does not reveal
    whether the resource exists."""

    code = Code.PERMISSION_DENIED
    reason = "PERMISSION_DENIED"

    def __init__(self) -> None:
        super().__init__("permission denied")


class Unauthenticated(DomainError):
    """The token is missing or invalid, a sign-in failed, or an act is not confirmed."""

    code = Code.UNAUTHENTICATED
    reason = "UNAUTHENTICATED"

    def __init__(self, message: str, reason: str = "UNAUTHENTICATED") -> None:
        super().__init__(message)
        self.reason = reason


class ResourceExhausted(DomainError):
    """The service is at a limit; retry_after_seconds says when to come back (RetryInfo)."""

    code = Code.RESOURCE_EXHAUSTED
    reason = "RESOURCE_EXHAUSTED"

    def __init__(self, message: str, retry_after_seconds: float) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class QuotaExceeded(DomainError):
    """The subject, a resource name, has as much of something as it may; waiting does not help."""

    code = Code.RESOURCE_EXHAUSTED
    reason = "QUOTA_EXCEEDED"

    def __init__(self, subject: str, message: str) -> None:
        super().__init__(message)
        self.subject = subject


class Unavailable(DomainError):
    """A part of the platform cannot be reached now; the same call may succeed later (RetryInfo)."""

    code = Code.UNAVAILABLE
    reason = "UNAVAILABLE"
    # Restarts of a database or of a service take seconds.
    retry_after_seconds = 1.0


class DeadlineExceeded(DomainError):
    """The call's deadline passed before the work was done."""

    code = Code.DEADLINE_EXCEEDED
    reason = "DEADLINE_EXCEEDED"
