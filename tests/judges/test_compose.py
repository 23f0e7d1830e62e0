"""compose.yaml, as docker compose itself reads it."""

from __future__ import annotations

import os
import subprocess

import pytest

from tests.integration.compose import REPOSITORY


@pytest.mark.containers
@pytest.mark.parametrize("profiles", ["", "init,traces", "messaging"])
def test_docker_compose_accepts_the_file(profiles: str) -> None:
    done = subprocess.run(
        ["docker", "compose", "--project-directory", str(REPOSITORY), "config", "--quiet"],
        capture_output=True,
        text=True,
        env={**os.environ, "COMPOSE_PROFILES": profiles},
    )
    assert done.returncode == 0, done.stderr
