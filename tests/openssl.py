"""The outside judge of certificates, lists, OCSP answers and time-stamps."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest


async def openssl(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """What OpenSSL says. Skips the test where there is none; LibreSSL knows less."""
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
