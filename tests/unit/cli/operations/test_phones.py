"""What `qagazsyz phones` refuses to make; that it runs is tests/integration/test_phones.py."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.errors import WRONG_USE, explain
from cli.main import tool


def invoke(*arguments: object) -> Exception | None:
    """Run the command; return what it raised."""
    result = CliRunner().invoke(tool, ["phones", *map(str, arguments)])
    assert result.exception is None or isinstance(result.exception, Exception)
    return result.exception


def refusal(*arguments: object) -> str:
    error = invoke(*arguments)
    assert error is not None
    failure = explain(error)
    assert failure is not None
    assert failure.exit_code == WRONG_USE
    return failure.message


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("phones") / "made"
    assert invoke("new", folder, "--count", 1) is None
    return folder


def test_nothing_that_exists_is_overwritten(made: Path) -> None:
    before = {path: path.read_bytes() for path in made.iterdir()}
    assert "exists already" in refusal("new", made)
    assert {path: path.read_bytes() for path in made.iterdir()} == before


@pytest.mark.parametrize(
    "first", ["77010001000", "+7701", "+7701000100x", "+77010001000000000", "+77019999999"]
)
def test_a_first_number_that_is_none_or_the_last_is_refused(tmp_path: Path, first: str) -> None:
    assert "--first" in refusal("new", tmp_path / "new", "--first", first)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("content", [b"", b"not hexadecimal", b"00" * 31, b"\xff"])
def test_a_transport_key_that_is_none_is_refused(
    made: Path, tmp_path: Path, content: bytes
) -> None:
    for name, bytes_ in (
        ("subscribers.json", (made / "subscribers.json").read_bytes()),
        ("transport.key", content),
    ):
        (tmp_path / name).touch(mode=0o600)
        (tmp_path / name).write_bytes(bytes_)
    assert "transport.key" in refusal("lists", tmp_path)
    assert not list(tmp_path.glob("sim*"))


@pytest.mark.parametrize("name", ["subscribers.json", "transport.key"])
def test_files_that_others_can_read_are_refused(made: Path, tmp_path: Path, name: str) -> None:
    for each in ("subscribers.json", "transport.key"):
        (tmp_path / each).write_bytes((made / each).read_bytes())
        (tmp_path / each).chmod(0o644 if each == name else 0o600)
    assert f"{name} has mode 0644" in refusal("lists", tmp_path)


def test_a_folder_without_subscribers_is_refused(tmp_path: Path) -> None:
    assert "subscribers.json" in refusal("run", tmp_path, "--port", 0)


def test_a_file_that_is_no_certificate_is_refused(made: Path, tmp_path: Path) -> None:
    path = tmp_path / "smsc.pem"
    path.write_text("none")
    assert "smsc.pem" in refusal("run", made, "--port", 0, "--certificate", path)
