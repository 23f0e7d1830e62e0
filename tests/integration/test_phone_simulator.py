"""The simulator as a program of its own: `qagazsyz phones`, and a foreign SMPP client."""

from __future__ import annotations

import json
import ssl
import stat
import subprocess
from pathlib import Path

import pytest

from phones.outcomes import Outcome
from phones.subscribers import Subscriber, read_subscribers
from sms.applet import Status
from testing.phone_network import phones_command, running_network
from tests.unit.phones.certificates import smsc_certificate, trusting
from tests.unit.phones.esme import Esme, Platform, verifies

TIMEOUT_SECONDS = 60
COUNT = 3


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        phones_command(*arguments),
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as the tool has just made it."""
    folder = tmp_path_factory.mktemp("phones") / "made"
    done = run("new", folder, "--count", COUNT)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """A copy of it, to change."""
    copy = tmp_path / "phones"
    copy.mkdir(mode=0o700)
    for path in made.iterdir():
        (copy / path.name).touch(mode=0o600)
        (copy / path.name).write_bytes(path.read_bytes())
    return copy


def subscribers(folder: Path) -> list[Subscriber]:
    return read_subscribers((folder / "subscribers.json").read_bytes())


async def bind(folder: Path, port: int, tls: ssl.SSLContext | None = None) -> Esme:
    password = (folder / "smpp.password").read_text().strip()
    return await Esme.bind(port, system_id="qagazsyz", password=password, tls=tls)


def test_what_is_secret_is_for_its_owner_only(made: Path) -> None:
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in made.iterdir()}
    assert modes == dict.fromkeys(
        [
            ".gitignore",
            "subscribers.json",
            "transport.key",
            "smpp.password",
            "sims-1.json",
            "sim-keys-1.json",
        ],
        0o600,
    )
    assert stat.S_IMODE(made.stat().st_mode) == 0o700


def test_the_lists_name_every_sim(made: Path) -> None:
    iccids = [one.sim.iccid for one in subscribers(made)]
    assert len(iccids) == COUNT + len(Outcome) - 1
    for stem, member in (("sims", "sims"), ("sim-keys", "keys")):
        entries = json.loads((made / f"{stem}-1.json").read_text())[member]
        assert [each["iccid"] for each in entries] == iccids


def test_a_file_that_others_can_read_is_refused(folder: Path) -> None:
    (folder / "subscribers.json").chmod(0o644)
    done = run("run", folder, "--port", 0)
    assert done.returncode == 2
    assert "chmod 0600" in done.stderr


async def test_a_phone_signs_and_its_card_remembers(folder: Path, tmp_path: Path) -> None:
    one = subscribers(folder)[0]
    record = tmp_path / "record.jsonl"
    with running_network(folder, "--record", record) as (port, _):
        esme = await bind(folder, port)
        platform = Platform(esme)
        platform.ask(one, counter=41)
        await esme.settle()
        (answer,) = platform.answers(one)
        assert verifies(answer, one)
        esme.close()
    assert subscribers(folder)[0].sim.counter == 41
    assert stat.S_IMODE(record.stat().st_mode) == 0o600
    events = [json.loads(line)["event"] for line in record.read_text().splitlines()]
    assert events == ["submitted", "delivered", "answered", "sent", "acknowledged"]


async def test_a_person_at_the_terminal_answers(folder: Path) -> None:
    one = subscribers(folder)[0]
    with running_network(folder) as (port, process):
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(f"phone {one.number}\n")
        process.stdin.flush()
        assert process.stdout.readline() == "┌" + "─" * 16 + "┐\n"
        esme = await bind(folder, port)
        platform = Platform(esme)
        platform.ask(one)
        process.stdin.write("expect Bank:\ncancel\nsay cancelled\n")
        process.stdin.flush()
        await esme.read_until(lambda: bool(esme.messages))
        assert platform.answers(one)[0].status is Status.CANCELLED
        esme.close()
        # Not before: the SMSC would be gone while its message is acknowledged.
        process.stdin.write("quit\n")
        process.stdin.flush()
        printed = process.stdout.read()
        assert "│Bank: contract  │" in printed
        assert printed.endswith("cancelled\n")


async def test_it_runs_with_tls_where_nobody_types(folder: Path, tmp_path: Path) -> None:
    """Under a supervisor, standard input is /dev/null."""
    path = smsc_certificate(tmp_path)
    options = ("--certificate", path)
    with running_network(folder, *options, stdin=subprocess.DEVNULL) as (port, _):
        (await bind(folder, port, trusting(path))).close()


def test_commands_may_come_from_a_file(folder: Path, tmp_path: Path) -> None:
    commands = tmp_path / "commands"
    commands.write_text("clock hold\nquit\n")
    with commands.open() as file:
        done = subprocess.run(
            phones_command("run", folder, "--port", 0),
            stdin=file,
            capture_output=True,
            timeout=TIMEOUT_SECONDS,
            check=False,
        )
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_script_that_is_refused_says_where(folder: Path, tmp_path: Path) -> None:
    number = subscribers(folder)[0].number
    script = tmp_path / "script"
    script.write_text(f"# swap a SIM\nphone {number}\nswap\n")
    before = subscribers(folder)[0].sim.iccid
    done = run("run", folder, "--port", 0, "--script", script)
    assert (done.returncode, done.stderr) == (0, "")
    after = subscribers(folder)[0].sim.iccid
    assert after != before
    assert run("lists", folder).returncode == 0
    assert after in (folder / "sims-1.json").read_text()
    script.write_text(f"phone {number}\nyes\n")
    done = run("run", folder, "--port", 0, "--script", script)
    assert done.returncode == 1
    assert "line 2 of the script" in done.stderr


def test_a_port_that_is_taken_is_reported(folder: Path) -> None:
    with running_network(folder) as (port, _):
        done = run("run", folder, "--port", port)
    assert done.returncode == 2
    assert "in use" in done.stderr
