"""A service whose secret others can read does not start, and says why in one line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.main import tool
from services.runtime.secret_files import write_secret

TIMEOUT_SECONDS = 60
# Every file in the services' folders that is a secret, but for token keys: of those a loose one is
# ignored, and the others serve on.
SECRETS = [
    ("identity", "authority.key"),
    ("identity", "time-stamping.key"),
    ("identity", "challenge.key"),
    ("identity", "phone-numbers.key"),
    ("signing", "key-encryption.key"),
    ("signing", "credential.pem"),
    ("registry", "content.key"),
    ("registry", "log.key"),
    ("registry", "credential.pem"),
    ("requests", "text.key"),
    ("requests", "credential.pem"),
    ("messaging", "message.key"),
    ("messaging", "lookup.key"),
    ("messaging", "credential.pem"),
    ("messaging", "smpp.password"),
]


def serve(service: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the service until it ends."""
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("QAGAZSYZ_")},
        "QAGAZSYZ_FOLDER": str(folder),
        "QAGAZSYZ_LOG_LEVEL": "warning",
        # Where nothing answers: the secrets are read before anything is called.
        "QAGAZSYZ_IDENTITY_ADDRESS": "unix:/nowhere",
        "QAGAZSYZ_SIGNING_ADDRESS": "unix:/nowhere",
        "QAGAZSYZ_REGISTRY_ADDRESS": "unix:/nowhere",
        "QAGAZSYZ_SMPP_HOST": "smsc.invalid",
        "QAGAZSYZ_SMPP_SYSTEM_ID": "platform",
    }
    return subprocess.run(
        [sys.executable, "-m", "cli.main", "serve", service],
        env=environment,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
    )


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new data folder."""
    folder = tmp_path_factory.mktemp("platform") / "data"
    made = CliRunner().invoke(tool, ["init", "--data", str(folder)])
    assert made.exit_code == 0, made.output
    # What the operator of the network gave, not init.
    write_secret(folder / "messaging" / "smpp.password", b"secret\n")
    return folder


@pytest.mark.parametrize(("service", "name"), SECRETS, ids=["/".join(secret) for secret in SECRETS])
def test_a_secret_that_others_can_read_ends_serve_in_one_line(
    data: Path, service: str, name: str
) -> None:
    secret = data / service / name
    secret.chmod(0o644)
    try:
        done = serve(service, data / service)
    finally:
        secret.chmod(0o600)
    assert done.returncode == 1
    assert done.stderr == f"qagazsyz {service}: {secret} has mode 0644: chmod 0600 it\n"


def test_the_secrets_are_all_that_init_makes(data: Path) -> None:
    """So that a new secret is tried here too."""
    made = {
        (path.relative_to(data).parts[0], path.name)
        for service in ("identity", "signing", "registry", "requests", "messaging")
        for path in (data / service).iterdir()
        if path.is_file()
    }
    # root.key signs offline; certificates and the seed are written for their owner and read by it.
    public = {("identity", name) for name in ("root.pem", "authority.pem", "time-stamping.pem")}
    assert made == {*SECRETS, *public, ("identity", "root.key"), ("identity", "seed.json")}
