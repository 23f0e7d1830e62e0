"""Run OpenSSL, to judge certificates, lists, OCSP responses and time-stamps independently."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest


async def openssl(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run OpenSSL; skip the test if it is not installed (LibreSSL does not suffice)."""
    program = _program()
    if program is None:
        pytest.skip("no OpenSSL: apt-get install openssl, or brew install openssl")
    return await asyncio.to_thread(_run, program, *arguments)


@cache
def _program() -> str | None:
    found = shutil.which("openssl")
    return found if found and _run(found, "version").stdout.startswith("OpenSSL") else None


def _run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(word) for word in command], capture_output=True, text=True)
