"""No escape sequence reaches a terminal, whoever wrote it."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest

from cli import errors
from cli.output import print_message, print_rows
from cli.terminal import plain, say
from qagazsyz.identity.v1 import subjects_pb2

CLI = Path(__file__).parents[3] / "cli"
NASTY = "Банк\x1b[2K\x1b]0;pwn\x07\x9b2J\u202e\r\nforged: line"


def test_a_text_is_shown_with_its_control_characters_escaped() -> None:
    assert plain("Банк\x1b[2K\x9b\u202e\r") == "Банк\\u001b[2K\\u009b\\u202e\\u000d"
    assert plain("Әлия\u0306 Қ. – ok") == "Әлия\u0306 Қ. – ok"


def test_a_text_of_others_stays_on_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    errors.report(errors.Failure("no\nqagazsyz: all is well\u2028too\t."))
    assert capsys.readouterr().err == "qagazsyz: no\\u000aqagazsyz: all is well\\u2028too\\u0009.\n"


def test_a_file_name_that_is_no_utf_8_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    say(b"\xff.pem".decode(errors="surrogateescape"))
    assert capsys.readouterr().out == "\\udcff.pem\n"


def test_json_gives_the_value_as_it_was(capsys: pytest.CaptureFixture[str]) -> None:
    print_message(subjects_pb2.Subject(name=NASTY), as_machine_json=True)
    assert json.loads(capsys.readouterr().out)["name"] == NASTY


@pytest.mark.parametrize("as_machine_json", [True, False])
def test_nothing_that_is_printed_acts_on_the_terminal(
    capsys: pytest.CaptureFixture[str], as_machine_json: bool
) -> None:
    organization = subjects_pb2.Organization(display_name=NASTY)
    print_message(
        subjects_pb2.Subject(name=NASTY, organization=organization), as_machine_json=as_machine_json
    )
    print_rows("Title", ["Name"], [[NASTY]], as_machine_json=as_machine_json)
    say(NASTY)
    printed = capsys.readouterr().out
    assert not set("\x1b\x07\x9b\u202e\r") & set(printed)
    assert "\nforged" not in printed
    assert "pwn" in printed


def test_brackets_in_a_cell_are_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows("Title", ["Name"], [["[bold]x[/bold]"]], as_machine_json=False)
    assert "[bold]x[/bold]" in capsys.readouterr().out


def test_every_command_prints_through_it() -> None:
    bare = [
        f"{path.relative_to(CLI)}:{node.lineno}"
        for path in CLI.rglob("*.py")
        if path.name != "terminal.py"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and (getattr(node.func, "id", "") == "print" or getattr(node.func, "attr", "") == "echo")
    ]
    assert bare == []
