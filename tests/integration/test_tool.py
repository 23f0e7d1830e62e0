"""The tool against the suite, as a person types it."""

from __future__ import annotations

import asyncio
import json
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from cli.running import RunningSuite, free_port
from tests.builders import new_organization, new_person
from tests.integration.world import World

REPOSITORY = Path(__file__).parents[2]


def run(*arguments: object, data: str = "") -> subprocess.CompletedProcess[str]:
    """Runs the tool in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "cli.main", *map(str, arguments)],
        capture_output=True,
        text=True,
        input=data,
        timeout=60,
        check=False,
    )


def ok(*arguments: object) -> str:
    done = run(*arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def operator(suite: RunningSuite) -> list[object]:
    """Options that sign in as the first operator."""
    return ["--credential", suite.data / "credentials" / "operator.pem", "--gateway", suite.gateway]


def test_secrets_are_the_owners_alone(suite: RunningSuite) -> None:
    for path in suite.data.rglob("*"):
        if path.is_socket():
            continue
        mode = stat.S_IMODE(path.stat().st_mode)
        if path.is_dir():
            assert mode & 0o077 == 0, f"{path}: {mode:o}"
    for pattern in ("**/*.key", "**/*.pem", "**/seed.json", "**/spans"):
        found = list(suite.data.glob(pattern))
        assert found, pattern
        for path in found:
            assert stat.S_IMODE(path.stat().st_mode) == 0o600, path


def test_init_refuses_a_folder_in_use(suite: RunningSuite, tmp_path: Path) -> None:
    assert run("init", "--data", suite.data).returncode == 2
    (tmp_path / "something").touch()
    assert run("init", "--data", tmp_path).returncode == 2


def test_up_refuses_a_folder_that_another_up_has(suite: RunningSuite) -> None:
    done = run("up", "--data", suite.data, "--port", free_port())
    assert done.returncode == 2
    assert "in use" in done.stderr


def test_token_prints_the_token_and_nothing_else(operator: list[object]) -> None:
    assert re.fullmatch(r"[\w-]+\.[\w-]+\.[\w-]+\n", ok("token", *operator))


def test_a_citizens_document_from_enrolment_to_receipt(
    suite: RunningSuite, operator: list[object], tmp_path: Path
) -> None:
    gateway = ["--gateway", suite.gateway]
    organization, person, clerk = new_organization(), new_person(), new_person()
    issuer = json.loads(
        ok(
            "subject", "create-organization", "--bin", organization.bin,
            "--display-name", organization.display_name, "--json", *operator,
        )
    )["name"]  # fmt: skip
    names = []
    for one in (person, clerk):
        created = ok(
            "subject", "create-person", "--iin", one.iin, "--given-name", one.given_name,
            "--family-name", one.family_name, "--birth-date", one.birth_date, "--json", *operator,
        )  # fmt: skip
        names.append(json.loads(created)["name"])
    citizen, officer = names
    ok("subject", "add-member", issuer, officer, *operator)
    citizen_pem, officer_pem = tmp_path / "citizen.pem", tmp_path / "officer.pem"
    ok("certificate", "issue", citizen, "--out", citizen_pem, *operator)
    ok(
        "certificate", "issue", officer, "--out", officer_pem, "--signs-for", issuer,
        "--key-type", "ed25519", *operator,
    )  # fmt: skip
    assert stat.S_IMODE(citizen_pem.stat().st_mode) == 0o600

    # The organization by its number, as people know it.
    as_officer = ["--credential", officer_pem, "--organization", organization.bin, *gateway]
    document_type = f"letter-{organization.bin[-6:]}"
    asyncio.run(_create_type(suite, issuer, document_type))
    paper = tmp_path / "letter.txt"
    paper.write_text("Анықтама")
    document = json.loads(
        ok(
            "document", "register", paper, "--type", f"documentTypes/{document_type}",
            "--subject", citizen, "--title", "Анықтама", "--json", *as_officer,
        )
    )  # fmt: skip
    as_citizen = ["--credential", citizen_pem, *gateway]
    listed = ok("document", "list", "--subject", citizen, "--json", *as_citizen)
    assert document["name"] in listed
    copy = tmp_path / "copy.txt"
    ok("document", "download", document["name"], "--out", copy, *as_citizen)
    assert copy.read_bytes() == paper.read_bytes()
    ok("document", "check", copy, *gateway)
    ok("document", "check", "--code", document["verificationCode"], *gateway)
    receipt, key = tmp_path / "receipt.json", tmp_path / "log.key"
    ok("receipt", "get", document["name"], "--out", receipt, *as_citizen)
    key.write_text(asyncio.run(_log_key(suite)))
    ok("receipt", "verify", receipt, "--key", key, "--content", copy)
    copy.write_text("Басқа")
    assert run("receipt", "verify", receipt, "--key", key, "--content", copy).returncode == 1
    ok("document", "revoke", document["name"], "--reason", "қате", *as_officer)
    paper_check = run("document", "check", paper, *gateway)
    assert paper_check.returncode == 1
    assert "revoked" in paper_check.stdout


async def _create_type(suite: RunningSuite, issuer: str, document_type_id: str) -> None:
    world = World(suite)
    async with world.http() as http:
        answer = await http.post(
            f"/v1/documentTypes?documentTypeId={document_type_id}",
            json={"displayNames": {"kk": "Анықтама"}, "issuers": [issuer]},
            headers=await world.headers(world.operator),
        )
        assert answer.status_code == 200, answer.text
    await world.close()


async def _log_key(suite: RunningSuite) -> str:
    async with World(suite).http() as http:
        return (await http.get("/log/key")).text


def test_exit_codes_tell_refusals_apart(
    suite: RunningSuite, operator: list[object], tmp_path: Path
) -> None:
    nobody = "subjects/00000000-0000-7000-8000-000000000000"
    assert run("subject", "get", nobody, *operator).returncode == 4
    missing = ["--credential", tmp_path / "none.pem", "--gateway", suite.gateway]
    assert run("subject", "get", nobody, *missing).returncode == 2
    closed = ["--credential", operator[1], "--gateway", f"127.0.0.1:{free_port()}"]
    assert run("token", *closed).returncode == 5
    for done in (run("subject", "get", nobody, *operator), run("token", *closed)):
        assert len(done.stderr.splitlines()) == 1
        assert "Traceback" not in done.stderr


def test_the_readmes_python_runs_as_written(suite: RunningSuite) -> None:
    readme = (REPOSITORY / "README.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    if not blocks:
        pytest.skip("the README has no Python yet")
    code = blocks[0].replace("localhost:8080", suite.gateway)
    code = code.replace("qagazsyz-data", str(suite.data))
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_log_is_followed_and_the_audit_finds_nothing(
    suite: RunningSuite, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    follow = ["log", "follow", "--state", state, "--once", "--gateway", suite.gateway]
    ok(*follow)
    ok(*follow)
    assert state.read_text().startswith("log.qagazsyz.example+")
    assert ok("audit", "--data", suite.data) == "Nothing differs.\n"
