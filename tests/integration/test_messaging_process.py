"""The messaging service as a process: it binds, stores, drains, and logs nothing personal."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from services.messaging.new_secrets import create_secrets
from services.runtime.clock import system_clock, system_randomness
from services.runtime.secret_files import write_secret
from tests.smsc import Delivery, running
from tests.smsc import Smsc as SmscOfTests

NUMBER, TEXT = "77010000001", "құпия"


def environment(folder: Path, port: int) -> dict[str, str]:
    bare = {name: value for name, value in os.environ.items() if not name.startswith("QAGAZSYZ_")}
    return {
        **bare,
        "QAGAZSYZ_FOLDER": str(folder),
        "QAGAZSYZ_LISTEN": f"unix:{folder / 'messaging.sock'}",
        "QAGAZSYZ_IDENTITY_ADDRESS": "unix:/nowhere",
        "QAGAZSYZ_SMPP_HOST": "127.0.0.1",
        "QAGAZSYZ_SMPP_PORT": str(port),
        "QAGAZSYZ_SMPP_TLS": "off",
        "QAGAZSYZ_SMPP_SYSTEM_ID": "platform",
        "QAGAZSYZ_LOG_LEVEL": "debug",
    }


async def start(folder: Path, port: int) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "cli.main",
        "serve",
        "messaging",
        env=environment(folder, port),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )


async def test_the_process_stores_drains_and_logs_nothing_personal(tmp_path: Path) -> None:
    folder = tmp_path / "messaging"
    create_secrets(folder, now=system_clock(), randomness=system_randomness)
    write_secret(folder / "smpp.password", b"secret\n")
    write_secret(folder / "credential.pem", b"only a secret for page tokens here")
    async with running(SmscOfTests()) as smsc:
        await smsc.deliver(Delivery(NUMBER, "1414", TEXT.encode("utf-16-be"), data_coding=8))
        process = await start(folder, smsc.port)
        await smsc.until(lambda: len(smsc.acknowledged) == 1, 60)
        # A second one would mix up the order.
        other = await start(folder, smsc.port)
        refused, _ = await other.communicate()
        assert other.returncode == 1
        assert refused.decode().splitlines()[-1].endswith(f"another process sends from {folder}")
        process.terminate()
        output, _ = await process.communicate()
        assert process.returncode == 0
        assert smsc.unbinds == 1
    stored = b"".join(path.read_bytes() for path in folder.iterdir() if path.is_file())
    for place in (output, stored):
        for personal in (NUMBER.encode(), TEXT.encode(), TEXT.encode("utf-16-be")):
            assert personal not in place
            assert personal.hex().encode() not in place
