"""The status of each error, its details, and what a defect tells the caller and the log."""

from __future__ import annotations

import logging

import pytest
from google.protobuf.message import Message
from google.rpc import code_pb2, error_details_pb2, status_pb2

from services.runtime.errors import (
    Aborted,
    AlreadyExists,
    Code,
    DeadlineExceeded,
    DomainError,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    QuotaExceeded,
    ResourceExhausted,
    Unauthenticated,
    Unavailable,
)
from services.runtime.status import ERROR_DOMAIN, internal_status, status_of, status_of_failure


def details(status: status_pb2.Status) -> list[Message]:
    """The status' details, unpacked."""
    types = [
        error_details_pb2.ErrorInfo,
        error_details_pb2.BadRequest,
        error_details_pb2.QuotaFailure,
        error_details_pb2.RetryInfo,
    ]
    found: list[Message] = []
    for packed in status.details:
        (message,) = (
            type_.FromString(packed.value) for type_ in types if packed.Is(type_.DESCRIPTOR)
        )
        found.append(message)
    return found


def info(reason: str) -> error_details_pb2.ErrorInfo:
    return error_details_pb2.ErrorInfo(reason=reason, domain=ERROR_DOMAIN)


@pytest.mark.parametrize(
    ("error", "code", "reason"),
    [
        (NotFound("m"), code_pb2.NOT_FOUND, "NOT_FOUND"),
        (AlreadyExists("m"), code_pb2.ALREADY_EXISTS, "ALREADY_EXISTS"),
        (FailedPrecondition("KEY_DESTROYED", "m"), code_pb2.FAILED_PRECONDITION, "KEY_DESTROYED"),
        (Aborted("m"), code_pb2.ABORTED, "CONCURRENT_CHANGE"),
        (Unauthenticated("m"), code_pb2.UNAUTHENTICATED, "UNAUTHENTICATED"),
        (DeadlineExceeded("m"), code_pb2.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED"),
    ],
)
def test_an_error_has_its_code_its_message_and_its_reason(
    error: DomainError, code: int, reason: str
) -> None:
    status = status_of(error)
    assert (status.code, status.message) == (code, "m")
    assert details(status) == [info(reason)]


def test_a_refusal_of_a_field_names_it_by_its_path() -> None:
    status = status_of(InvalidArgument("document.title", "is too long"))
    assert (status.code, status.message) == (
        code_pb2.INVALID_ARGUMENT,
        "document.title: is too long",
    )
    violation = error_details_pb2.BadRequest.FieldViolation(
        field="document.title", description="is too long"
    )
    assert details(status) == [
        info("INVALID_ARGUMENT"),
        error_details_pb2.BadRequest(field_violations=[violation]),
    ]


def test_a_refusal_of_the_whole_request_names_no_field() -> None:
    status = status_of(InvalidArgument("", "is no message"))
    assert status.message == "is no message"
    assert details(status) == [info("INVALID_ARGUMENT")]


def test_an_exhausted_resource_says_when_to_come_back() -> None:
    status = status_of(ResourceExhausted("later", 1.5))
    assert status.code == code_pb2.RESOURCE_EXHAUSTED
    reason, retry = details(status)
    assert reason == info("RESOURCE_EXHAUSTED")
    assert isinstance(retry, error_details_pb2.RetryInfo)
    assert retry.retry_delay.ToMilliseconds() == 1500


def test_what_is_unavailable_says_when_to_come_back() -> None:
    status = status_of(Unavailable("the database cannot be used now"))
    assert status.code == code_pb2.UNAVAILABLE
    retry = error_details_pb2.RetryInfo()
    retry.retry_delay.FromSeconds(1)
    assert details(status) == [info("UNAVAILABLE"), retry]


def test_an_exceeded_quota_names_whose_it_is() -> None:
    status = status_of(QuotaExceeded("subjects/o", "two keys at most"))
    assert status.code == code_pb2.RESOURCE_EXHAUSTED
    violation = error_details_pb2.QuotaFailure.Violation(
        subject="subjects/o", description="two keys at most"
    )
    assert details(status) == [
        info("QUOTA_EXCEEDED"),
        error_details_pb2.QuotaFailure(violations=[violation]),
    ]


def test_a_denied_permission_is_always_told_in_the_same_words() -> None:
    status = status_of(PermissionDenied())
    assert (status.code, status.message) == (code_pb2.PERMISSION_DENIED, "permission denied")
    assert details(status) == [info("PERMISSION_DENIED")]


def test_the_codes_are_those_of_google_rpc() -> None:
    assert {code.name: code.value for code in Code}.items() <= dict(code_pb2.Code.items()).items()


def test_an_error_raised_on_purpose_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    error = NotFound("no such document")
    assert status_of_failure(error, "package.Service/Method") == status_of(error)
    assert caplog.records == []


def test_a_defect_is_told_as_such_and_logged_by_its_place_without_its_text(
    caplog: pytest.LogCaptureFixture,
) -> None:
    try:
        raise KeyError("123456789011")
    except KeyError as error:
        status = status_of_failure(error, "package.Service/Method")
    assert status == internal_status()
    assert (status.code, status.message, list(status.details)) == (
        code_pb2.INTERNAL,
        "internal error",
        [],
    )
    (record,) = caplog.records
    logged = record.__dict__
    assert record.levelno == logging.ERROR
    assert (logged["rpc.method"], logged["exception"]) == ("package.Service/Method", "KeyError")
    assert [frame.rpartition(":")[2] for frame in logged["frames"]] == [
        "test_a_defect_is_told_as_such_and_logged_by_its_place_without_its_text"
    ]
    assert "123456789011" not in str(logged)
