"""Calls of a command: the pages of a list, and the credential that they need."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, cast

import grpc
import pytest

from cli.connection import PAGE_SIZE, call_pages, signed_in
from cli.errors import WRONG_USE, Failure
from qagazsyz.identity.v1 import subjects_pb2
from services.runtime.paging import MAXIMUM_PAGE_SIZE
from services.runtime.secret_files import write_secret
from tests.builders import self_signed_credential

if TYPE_CHECKING:
    ListSubjects = grpc.UnaryUnaryMultiCallable[
        subjects_pb2.ListSubjectsRequest, subjects_pb2.ListSubjectsResponse
    ]


@pytest.fixture
def credential(tmp_path: Path) -> Path:
    path = tmp_path / "credential.pem"
    write_secret(path, self_signed_credential().to_pem())
    return path


class Subjects:
    """A list of subjects in two pages, and the requests for them."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, str]] = []

    def __call__(
        self, request: subjects_pb2.ListSubjectsRequest, *, timeout: float
    ) -> subjects_pb2.ListSubjectsResponse:
        self.asked.append((request.page_size, request.page_token))
        if request.page_token:
            return subjects_pb2.ListSubjectsResponse(
                subjects=[subjects_pb2.Subject(name="subjects/2")]
            )
        return subjects_pb2.ListSubjectsResponse(
            subjects=[subjects_pb2.Subject(name="subjects/1")], next_page_token="second"
        )

    @property
    def method(self) -> Callable[[grpc.Channel], ListSubjects]:
        return lambda _channel: cast("ListSubjects", self)


def test_all_pages_of_a_list_are_fetched(credential: Path) -> None:
    subjects, request = Subjects(), subjects_pb2.ListSubjectsRequest()
    pages = list(call_pages(subjects.method, request, "localhost:1", credential))
    assert [one.name for page in pages for one in page.subjects] == ["subjects/1", "subjects/2"]
    assert subjects.asked == [(PAGE_SIZE, ""), (PAGE_SIZE, "second")]
    assert request == subjects_pb2.ListSubjectsRequest()


def test_pages_are_the_largest_that_services_give() -> None:
    assert PAGE_SIZE == MAXIMUM_PAGE_SIZE


def test_without_a_credential_a_command_says_which_option_names_one() -> None:
    with (
        pytest.raises(Failure, match="--credential FILE") as refused,
        signed_in("localhost:1", None),
    ):
        pass
    assert refused.value.exit_code == WRONG_USE
