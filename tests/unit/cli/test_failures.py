"""What is no defect ends in one line and an exit code that a script can tell apart."""

from __future__ import annotations

from pathlib import Path

import grpc
import pytest

from cli.failures import (
    DEFECT,
    NOT_ALLOWED,
    REFUSED,
    UNREACHABLE,
    WRONG_USE,
    Failure,
    explain,
    report,
)
from cli.layout import SOCKET_PATH_LIMIT, DataFolder
from qagazsyz.credentials import CredentialError


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
    ],
)
def test_each_class_of_failure_has_its_exit_code(error: Exception, exit_code: int) -> None:
    failure = explain(error)
    assert failure is not None
    assert failure.exit_code == exit_code
    assert "\n" not in failure.message


def test_a_defect_is_not_explained_away() -> None:
    assert explain(KeyError("x")) is None


def test_the_report_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert report(Failure("the folder is in use")) == WRONG_USE
    assert capsys.readouterr().err == "qagazsyz: the folder is in use\n"


def test_sockets_have_paths_that_a_socket_can_have(tmp_path: Path) -> None:
    deep = tmp_path / ("folder" * 20)
    deep.mkdir()
    for data in (tmp_path, deep):
        sockets = DataFolder(data).sockets()
        assert sockets.is_dir()
        assert len(str(sockets / "collector.sock")) <= SOCKET_PATH_LIMIT


def test_a_folder_is_locked_once(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path)
    with folder.lock(), pytest.raises(Failure), folder.lock():
        pass
    with folder.lock():
        pass
