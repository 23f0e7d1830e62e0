"""The tool against a running suite, as people use it."""

from __future__ import annotations

import asyncio
import json
import os
import re
import stat
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from typer.testing import CliRunner

from cli.errors import explain
from cli.main import tool
from testing.suite_process import RunningSuite, free_port
from tests.builders import new_organization, new_person
from tests.integration.world import World

REPOSITORY = Path(__file__).parents[2]


def run_apart(
    *arguments: object, environment: Mapping[str, str] = MappingProxyType({})
) -> subprocess.CompletedProcess[str]:
    """Run the tool in a process of its own."""
    command = [sys.executable, "-m", "cli.main", *map(str, arguments)]
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, **environment},
    )


def run(*arguments: object, given: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run the tool in this process, ten times as fast, with the same result."""
    words = list(map(str, arguments))
    mask = os.umask(0o022)
    try:
        result = CliRunner().invoke(tool, words, input=given)
    finally:
        os.umask(mask)  # some commands set their own umask, and this process goes on
    code, errors = result.exit_code, result.stderr
    if isinstance(result.exception, Exception):
        failure = explain(result.exception)
        if failure is None:
            raise result.exception
        code, errors = failure.exit_code, errors + failure.message
    return subprocess.CompletedProcess(words, code, result.stdout, errors)


def ok(*arguments: object) -> str:
    done = run(*arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def operator(suite: RunningSuite) -> list[object]:
    """Return the options that sign in as the first operator."""
    return ["--credential", suite.data / "credentials" / "operator.pem", "--gateway", suite.gateway]


def test_secrets_are_the_owners_alone(suite: RunningSuite) -> None:
    for path in suite.data.rglob("*"):
        mode = stat.S_IMODE(path.lstat().st_mode)
        assert mode & 0o077 == 0, f"{path}: {mode:o}"
    assert (suite.data / "identity" / "trust").is_dir(), "where outside authorities are put"
    for pattern in ("**/*.key", "**/*.pem", "**/seed.json", "**/spans", "**/*.db"):
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


def assert_one_line(done: subprocess.CompletedProcess[str], beginning: str) -> None:
    """The process ended with a line of ours, and with no secret in it."""
    assert done.returncode in (1, 2)
    assert done.stderr.startswith(beginning)
    assert len(done.stderr.splitlines()) == 1
    assert "sesame" not in done.stderr


def test_a_process_without_its_settings_names_the_missing_variable() -> None:
    assert_one_line(
        run_apart("serve", "gateway"), "qagazsyz: QAGAZSYZ_GATEWAY_FOLDER: Field required"
    )


@pytest.mark.parametrize("service", ["identity", "registry"])
def test_a_service_without_its_secrets_names_the_missing_file(service: str, tmp_path: Path) -> None:
    done = run_apart("serve", service, environment={"QAGAZSYZ_FOLDER": str(tmp_path)})
    assert_one_line(done, f"qagazsyz {service}: {tmp_path}/")
    assert "cannot be read: No such file or directory" in done.stderr


def test_a_service_without_its_database_says_so_without_the_password(suite: RunningSuite) -> None:
    environment = {
        "QAGAZSYZ_FOLDER": str(suite.data / "identity"),
        "QAGAZSYZ_DATABASE_URL": "postgresql://identity:sesame@127.0.0.1:1/identity",
    }
    done = run_apart("serve", "identity", environment=environment)
    assert_one_line(done, "qagazsyz identity: the database cannot be opened: ")


def test_token_prints_the_token_and_nothing_else(operator: list[object]) -> None:
    printed = run_apart("token", *operator).stdout
    assert re.fullmatch(r"[\w-]+\.[\w-]+\.[\w-]+\n", printed)


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

    # The organization by its BIN, as people know it.
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


def test_a_further_certificate_is_approved_by_another_operator(
    suite: RunningSuite, operator: list[object], tmp_path: Path
) -> None:
    person = new_person()
    subject = json.loads(
        ok(
            "subject", "create-person", "--iin", person.iin, "--given-name", person.given_name,
            "--family-name", person.family_name, "--json", *operator,
        )
    )["name"]  # fmt: skip
    first, key, credential = (tmp_path / name for name in ("first.pem", "key.pem", "both.pem"))
    ok("certificate", "issue", subject, "--out", first, *operator)
    second = ["--credential", asyncio.run(_second_operator(suite)), "--gateway", suite.gateway]
    own = ["--credential", first, "--gateway", suite.gateway]
    asked = [
        json.loads(
            ok("certificate", "issue", subject, "--out", out, "--json", "--usage", usage, *second)
        )
        for out, usage in ((key, "sign"), (tmp_path / "other.pem", "authenticate"))
    ]
    assert [each["state"] for each in asked] == ["CERTIFICATE_STATE_PENDING"] * 2
    assert b"CERTIFICATE" not in key.read_bytes()
    waiting, other = (each["name"] for each in asked)
    listed = ok("certificate", "requests", "--json", *own)
    assert waiting in listed and other in listed
    ok("certificate", "reject", other, *own)
    refused = run("certificate", "approve", waiting, *second)
    assert refused.returncode == 3, "by whoever asked"
    approved = json.loads(ok("certificate", "approve", waiting, "--json", *operator))
    assert ok("certificate", "requests", "--json", *own) == ""
    ok("certificate", "get", approved["name"], "--key", key, "--out", credential, *own)
    ok("token", "--credential", credential, "--gateway", suite.gateway)
    # A citizen renews alone.
    renewed = tmp_path / "renewed.pem"
    ok("certificate", "issue", subject, "--out", renewed, "--credential", credential, *own[2:])
    ok("token", "--credential", renewed, "--gateway", suite.gateway)


async def _second_operator(suite: RunningSuite) -> Path:
    """The credential of the suite's second operator."""
    world = World(suite)
    await world.second_operator()
    await world.close()
    return suite.data / "credentials" / "second-operator.pem"


async def _create_type(suite: RunningSuite, issuer: str, document_type_id: str) -> None:
    """By curl's way: the tool signs the act, and plain HTTP carries it."""
    world = World(suite)
    document_type = {"displayNames": {"kk": "Анықтама"}, "issuers": [issuer]}
    whole = {"documentType": document_type, "documentTypeId": document_type_id}
    confirm = run(
        "confirm", "DocumentService/CreateDocumentType", "--data", "-",
        "--credential", suite.data / "credentials" / "operator.pem", "--gateway", suite.gateway,
        given=json.dumps(whole),
    )  # fmt: skip
    assert confirm.returncode == 0, confirm.stderr
    name, value = confirm.stdout.strip().split(": ")
    async with world.http() as http:
        headers = await world.headers(world.operator)
        path = f"/v1/documentTypes?documentTypeId={document_type_id}"
        refused = await http.post(path, json=document_type, headers=headers)
        assert refused.json()["details"][0]["reason"] == "CONFIRMATION_REQUIRED"
        answer = await http.post(path, json=document_type, headers=headers | {name: value})
        assert answer.status_code == 200, answer.text
        again = await http.post(path, json=document_type, headers=headers | {name: value})
        assert again.json() == answer.json()
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
    for done in (run_apart("subject", "get", nobody, *operator), run_apart("token", *closed)):
        assert done.returncode in (4, 5)
        assert len(done.stderr.splitlines()) == 1
        assert "Traceback" not in done.stderr


def readme(language: str) -> list[str]:
    """Return the README's code blocks of a language, in order."""
    text = (REPOSITORY / "README.md").read_text()
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def as_written(code: str, suite: RunningSuite) -> str:
    """Replace the README's address and paths by this suite's."""
    code = code.replace("localhost:8080", suite.gateway).replace("qagazsyz-data", str(suite.data))
    return code.replace(".venv/bin", str(Path(sys.executable).parent))


def test_the_readmes_python_runs_as_written(suite: RunningSuite) -> None:
    (code,) = readme("python")
    assert len(code.splitlines()) <= 10
    done = subprocess.run(
        [sys.executable, "-c", as_written(code, suite)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Qagazsyz" in done.stdout, "the platform's own organization is among the subjects"


@pytest.mark.parametrize("program", ["curl -", "buf curl", "traces"])
def test_the_readmes_commands_run_as_written(program: str, suite: RunningSuite) -> None:
    code = next(block for block in readme("sh") if program in block)
    # The environment of a reader's shell, where the gateway has its default port.
    environment = {**os.environ, "QAGAZSYZ_GATEWAY": suite.gateway}
    done = subprocess.run(
        ["sh", "-euc", as_written(code, suite)],
        capture_output=True, text=True, timeout=60, check=False, env=environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert ("Recent traces" if program == "traces" else "Qagazsyz") in done.stdout


def test_the_log_is_followed_and_the_audit_finds_nothing(
    suite: RunningSuite, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    follow = ["log", "follow", "--state", state, "--once", "--gateway", suite.gateway]
    ok(*follow)
    ok(*follow)
    assert state.read_text().startswith("log.qagazsyz.example+")
    assert ok("audit", "--data", suite.data) == "Nothing differs.\n"


async def test_the_platform_verifies_files_and_validates_their_certificates(
    world: World, operator: list[object], tmp_path: Path
) -> None:
    signer = await world.citizen()
    pem = x509.load_der_x509_certificate(signer.credential.certificate).public_bytes(
        serialization.Encoding.PEM
    )
    for name in ("a.pdf", "b.pdf"):
        (tmp_path / name).write_bytes(name.encode())
        _, signature = signer.credential.sign(name.encode())
        (tmp_path / f"{name}.sig").write_bytes(signature)
        (tmp_path / f"{name}.cer").write_bytes(pem)
    verify = ["verify", tmp_path, "--json", *operator]
    lines = (await asyncio.to_thread(ok, *verify)).splitlines()
    assert {json.loads(line)["verdict"] for line in lines} == {"VALID"}
    certificate = tmp_path / "a.pdf.cer"
    shown = await asyncio.to_thread(ok, "certificate", "check", certificate, "--json", *operator)
    assert json.loads(shown) == {
        "file": str(certificate), "status": "good", "subject": signer.subject,
    }  # fmt: skip
    listed = await asyncio.to_thread(ok, "certificate", "list", signer.subject, "--json", *operator)
    name = json.loads(listed)["name"]
    revoke = ["certificate", "revoke", name, "--reason", "key-compromise", *operator]
    await asyncio.to_thread(ok, *revoke)
    check = ["certificate", "check", certificate, "--json", *operator]
    done = await asyncio.to_thread(run, *check)
    assert (done.returncode, json.loads(done.stdout)["status"]) == (1, "revoked")
    # Its signature alone is still valid.
    await asyncio.to_thread(ok, *verify, "--signature-only")


def test_subjects_are_found_by_number_and_members_listed(operator: list[object]) -> None:
    organization = new_organization()
    created = ok(
        "subject", "create-organization", "--bin", organization.bin,
        "--display-name", organization.display_name, "--json", *operator,
    )  # fmt: skip
    name = json.loads(created)["name"]
    resolved = ok("subject", "resolve", organization.bin, "--json", *operator)
    assert json.loads(resolved) == {"number": organization.bin, "name": name}
    person = new_person()
    created = ok(
        "subject", "create-person", "--iin", person.iin, "--given-name", person.given_name,
        "--family-name", person.family_name, "--json", *operator,
    )  # fmt: skip
    member = json.loads(created)["name"]
    membership = json.loads(ok("subject", "add-member", name, member, "--json", *operator))["name"]
    listed = json.loads(ok("subject", "members", name, "--json", *operator))
    expected = {"name": membership, "person": member, "role": "officer", "state": "active"}
    assert listed == expected
    ok("subject", "remove-member", membership, *operator)
    assert ok("subject", "members", name, "--json", *operator) == ""
    assert name in ok("subject", "list", "--json", *operator)
    assert organization.bin in ok("subject", "get", name, *operator)
