"""The load generators' files match the contracts, and run if their programs are installed."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from google.protobuf import json_format
from google.protobuf.message import Message

from qagazsyz.signing.v1 import verification_pb2
from services.runtime.descriptors import service_descriptors
from signatures.algorithms import Verdict
from signatures.loading import load_backend
from testing.suite_process import RunningSuite
from tests.integration.world import World
from tests.load import payloads, run

ROOT = Path(__file__).parents[2]
LOAD = ROOT / "tests" / "load"
# The folder of `make load-tools`.
TOOLS = ROOT / ".setup" / "load" / "bin"
METHOD = re.compile(r"(qagazsyz(?:\.\w+)+)/(\w+)")
KINDS: dict[str, type[Message]] = {
    "verify": verification_pb2.VerifyRequest,
    "batch-verify": verification_pb2.BatchVerifyRequest,
}


def program(name: str) -> str:
    """Return the path of the program; skip the test if it is not installed."""
    beside = TOOLS / name
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        pytest.skip(f"no {name}: see tests/load/README.md")
    return found


@pytest.fixture(scope="module")
def requests(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the requests that the generators read, without a token."""
    folder = tmp_path_factory.mktemp("payloads")
    payloads.write(folder, singles=10, batches=1)
    return folder


@pytest.fixture
async def folder(requests: Path, world: World) -> Path:
    """Write all files that the generators read."""
    payloads.write_token(requests, await world.token(await world.citizen()))
    return requests


@pytest.mark.parametrize(
    "name", ["verification.js", "locustfile.py", "verify.ghz.json", "batch-verify.ghz.json"]
)
def test_what_the_load_files_call_is_in_the_contracts(name: str) -> None:
    called = METHOD.findall((LOAD / name).read_text())
    assert called
    for service, method in called:
        assert method in service_descriptors()[service].methods_by_name


@pytest.mark.parametrize("kind", KINDS)
def test_requests_are_the_same_in_json_and_in_bytes(requests: Path, kind: str) -> None:
    messages = json.loads((requests / f"{kind}.json").read_text())
    parts = sorted((requests / kind).glob("*.bin"))
    assert len(messages) == len(parts) > 0
    for message, part in zip(messages, parts, strict=True):
        parsed = json_format.ParseDict(message, KINDS[kind]())
        assert parsed == KINDS[kind].FromString(part.read_bytes())


def test_every_signature_that_is_sent_is_valid(requests: Path) -> None:
    backend = load_backend()
    for part in (requests / "batch-verify").glob("*.bin"):
        batch = backend.parse_batch(part.read_bytes())
        assert set(batch.verify(0, batch.item_count)) == {Verdict.VALID}
        assert batch.item_count == payloads.BATCH_ITEMS


def test_the_token_is_for_its_owner_alone(tmp_path: Path) -> None:
    (tmp_path / "metadata.json").touch(mode=0o644)
    payloads.write_token(tmp_path, "token")
    assert (tmp_path / "metadata.json").stat().st_mode & 0o777 == 0o600


def test_k6_prints_percentiles_for_each_offered_rate(
    folder: Path, suite: RunningSuite, capfd: pytest.CaptureFixture[str]
) -> None:
    steps = {"VERIFY_RATES": "5", "BATCH_VERIFY_RATES": "2", "STEP_SECONDS": "1", "WAITING": "5"}
    code = run.run(program("k6"), suite.gateway, folder, **steps)
    table = capfd.readouterr().out
    assert code == 0, table
    columns, verify, batch = (re.split(r"\s{2,}", line.strip()) for line in table.splitlines())
    for call, line in (("verify", verify), ("batch_verify", batch)):
        row = dict(zip(columns, line, strict=True))
        assert row["call"] == call
        assert float(row["answered/s"]) > 0
        assert float(row["p99 ms"]) > 0
        assert (row["refused"], row["failed"]) == ("0", "0")


def test_k6_fails_where_an_answer_is_not_what_it_should_be(
    tmp_path: Path, folder: Path, suite: RunningSuite, capfd: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    payloads.write_token(tmp_path, "no token")
    steps = {"VERIFY_RATES": "2", "BATCH_VERIFY_RATES": "", "STEP_SECONDS": "1", "WAITING": "2"}
    assert run.run(program("k6"), suite.gateway, tmp_path, **steps) != 0
    assert "verify" in capfd.readouterr().out


def test_locust_sends_both_calls_and_none_fails(folder: Path, suite: RunningSuite) -> None:
    command = [program("locust"), "-f", str(LOAD / "locustfile.py"), "--headless", "--only-summary"]
    done = subprocess.run(
        [*command, "--host", suite.gateway, "-u", "10", "-r", "10", "-t", "3s"],
        env={**os.environ, "PAYLOADS": str(folder)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    for name in ("Verify", "BatchVerify"):
        assert re.search(rf"gRPC +{name} +[1-9]\d* +0\(0\.00%\)", done.stdout + done.stderr)


@pytest.mark.parametrize("kind", KINDS)
def test_ghz_learns_the_method_by_reflection_and_calls_it(
    folder: Path, suite: RunningSuite, kind: str
) -> None:
    command = [program("ghz"), "--config", str(LOAD / f"{kind}.ghz.json"), "--duration", "1s"]
    files = ["--data-file", str(folder / f"{kind}.json")]
    files += ["--metadata-file", str(folder / "metadata.json")]
    done = subprocess.run([*command, *files, suite.gateway], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert re.search(r"\[OK\] +[1-9]\d* responses", done.stdout)
    assert "Error distribution" not in done.stdout
