"""Errors as one line for people and an exit code for scripts."""

from __future__ import annotations

from pathlib import Path

import grpc
import pytest
from pydantic import ValidationError

from cli.errors import (
    DEFECT,
    NOT_ALLOWED,
    REFUSED,
    UNREACHABLE,
    WRONG_USE,
    Failure,
    explain,
    report,
)
from gateway.settings import GatewaySettings
from qagazsyz.credentials import CredentialError
from services.identity.settings import IdentitySettings
from services.runtime.settings import CannotStart


def rpc_error(code: grpc.StatusCode, details: str = "why") -> grpc.aio.AioRpcError:
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(), details)


@pytest.mark.parametrize(
    ("error", "exit_code"),
    [
        (rpc_error(grpc.StatusCode.UNAUTHENTICATED), NOT_ALLOWED),
        (rpc_error(grpc.StatusCode.PERMISSION_DENIED), NOT_ALLOWED),
        (rpc_error(grpc.StatusCode.NOT_FOUND), REFUSED),
        (rpc_error(grpc.StatusCode.INVALID_ARGUMENT), REFUSED),
        (rpc_error(grpc.StatusCode.UNAVAILABLE), UNREACHABLE),
        (rpc_error(grpc.StatusCode.RESOURCE_EXHAUSTED), UNREACHABLE),
        (rpc_error(grpc.StatusCode.INTERNAL), DEFECT),
        (FileNotFoundError(2, "No such file or directory", "a.pem"), WRONG_USE),
        (CredentialError("no certificate"), WRONG_USE),
        (CannotStart("log.key cannot be read"), WRONG_USE),
    ],
)
def test_each_class_of_failure_has_its_exit_code(error: Exception, exit_code: int) -> None:
    failure = explain(error)
    assert failure is not None
    assert failure.exit_code == exit_code
    assert "\n" not in failure.message


def test_a_wrong_setting_is_named_by_its_variable_without_its_value() -> None:
    with pytest.raises(ValidationError) as caught:
        IdentitySettings(folder=Path(), database_url="mysql://identity:sesame@host/identity")
    failure = explain(caught.value)
    assert failure is not None
    assert failure.message.startswith("QAGAZSYZ_DATABASE_URL: ")
    assert "sesame" not in failure.message
    with pytest.raises(ValidationError) as caught:
        GatewaySettings(
            folder=Path(),
            identity=("a:1",),
            signing=("b:1",),
            registry=("nowhere",),
            requests=("c:1",),
        )
    failure = explain(caught.value)
    assert failure is not None
    assert failure.message.startswith("QAGAZSYZ_GATEWAY_REGISTRY: ")


def test_a_defect_has_no_explanation() -> None:
    assert explain(KeyError("x")) is None


def test_the_report_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert report(Failure("the folder is in use")) == WRONG_USE
    assert capsys.readouterr().err == "qagazsyz: the folder is in use\n"
