"""A signing process that cannot start says why in one line and ends with 1."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.integration.signing_process import COMMAND, KEY_FILE, environment


@pytest.mark.parametrize("file", [KEY_FILE, "credential.pem"])
def test_a_secret_that_others_may_read_is_refused_at_start(tmp_path: Path, file: str) -> None:
    variables = environment(tmp_path, "127.0.0.1:0")
    (tmp_path / file).chmod(0o644)
    done = subprocess.run(COMMAND, env=variables, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("qagazsyz signing: ")
    assert "chmod 0600" in done.stderr
