"""What commands print for people and for machines, and the files that they write."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
from cryptography import x509
from google.protobuf.timestamp_pb2 import Timestamp

from cli.errors import Failure
from cli.output import moment, print_message, print_rows, write_certificate, write_secret
from qagazsyz.identity.v1 import subjects_pb2
from tests.builders import self_signed_credential

SUBJECT = subjects_pb2.Subject(
    name="subjects/1", organization=subjects_pb2.Organization(display_name="Қазпошта")
)


def test_a_message_for_people_has_its_set_fields_line_by_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_message(SUBJECT, as_machine_json=False)
    assert capsys.readouterr().out.splitlines() == [
        "name: subjects/1",
        'organization: {"displayName": "Қазпошта"}',
    ]


def test_a_message_for_machines_has_its_unset_fields_too(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_message(SUBJECT, as_machine_json=True)
    printed = json.loads(capsys.readouterr().out)
    assert printed["organization"] == {"bin": "", "displayName": "Қазпошта"}


def test_rows_for_machines_are_objects_with_the_columns_as_keys(
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows = [("subjects/1", "person"), ("subjects/2", "organization")]
    print_rows("Subjects", ("name", "kind"), rows, as_machine_json=True)
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == [
        {"name": "subjects/1", "kind": "person"},
        {"name": "subjects/2", "kind": "organization"},
    ]


def test_long_names_are_whole_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    name = "subjects/" + "a" * 100
    print_rows("Subjects", ("name",), [(name,)], as_machine_json=False)
    assert name in capsys.readouterr().out


def test_a_time_that_is_not_set_is_empty() -> None:
    assert moment(Timestamp()) == ""
    assert moment(Timestamp(seconds=86_400)) == "1970-01-02T00:00:00Z"


def test_a_secret_is_written_for_its_owner_alone_and_never_over_another(tmp_path: Path) -> None:
    path = tmp_path / "credential.pem"
    write_secret(path, b"first")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(Failure, match=r"credential\.pem exists already"):
        write_secret(path, b"second")
    assert path.read_bytes() == b"first"


def test_a_certificate_is_written_as_pem(tmp_path: Path) -> None:
    der = self_signed_credential().certificate
    write_certificate(tmp_path / "certificate.pem", der)
    read = x509.load_pem_x509_certificate((tmp_path / "certificate.pem").read_bytes())
    assert read == x509.load_der_x509_certificate(der)
