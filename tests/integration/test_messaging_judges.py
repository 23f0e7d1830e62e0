"""Messaging against an independent SMSC, npm's `smpp`, where Node and npm are there."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from qagazsyz.messaging.v1 import messages_pb2
from services.messaging.main import MIGRATIONS
from services.runtime.storage.database import Database
from services.runtime.storage.migrations import migrate
from tests.smsc import Smsc
from tests.unit.messaging.builders import PHONE, Stream, linked, make_service

pytestmark = pytest.mark.judges

PACKAGE = "smpp@0.5.1"
INSTALL_SECONDS = 60
PROGRAM = Path(__file__).parent / "smsc_npm.js"


@pytest.fixture(scope="module")
def modules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("no Node or npm")
    folder = tmp_path_factory.mktemp("npm")
    (folder / "package.json").write_text("{}")
    options = ["--no-audit", "--no-fund", "--ignore-scripts"]
    try:
        done = subprocess.run(
            [npm, "install", *options, PACKAGE],
            cwd=folder,
            capture_output=True,
            timeout=INSTALL_SECONDS,
        )
    except subprocess.TimeoutExpired:
        pytest.skip(f"{PACKAGE} cannot be had")
    if done.returncode:
        pytest.skip(f"{PACKAGE} cannot be had")
    return folder / "node_modules"


class Judge:
    """The other SMSC, and what it says."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        self._output = process.stdout
        self.said: list[dict[str, Any]] = []

    async def hear(self, event: str) -> dict[str, Any]:
        """Wait until it says that this happened."""
        async with asyncio.timeout(20):
            while True:
                said: dict[str, Any] = json.loads(await self._output.readline())
                self.said.append(said)
                if said["event"] == event:
                    return said

    def all(self, event: str) -> list[dict[str, Any]]:
        return [said for said in self.said if said["event"] == event]


@asynccontextmanager
async def judging(modules: Path, text: str) -> AsyncIterator[tuple[Judge, Smsc]]:
    process = await asyncio.create_subprocess_exec(
        "node",
        str(PROGRAM),
        text,
        env={**os.environ, "NODE_PATH": str(modules)},
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        judge = Judge(process)
        listening = await judge.hear("listening")
        yield judge, Smsc(port=listening["port"])
    finally:
        process.kill()
        await process.wait()


async def test_an_exchange_with_npm_smpp(modules: Path, tmp_path: Path) -> None:
    database = Database(f"sqlite+aiosqlite:///{tmp_path / 'messaging.db'}")
    await migrate(database, MIGRATIONS)
    service = make_service(database)
    packet = bytes(range(256)) * 2
    long = "Құжат №1 дайын. " * 8
    try:
        async with judging(modules, "Р 1 1 2 Қ") as (judge, smsc):
            names = [
                (await service.send(**content)).name
                for content in ({"text": "PIN {1}: 5€"}, {"text": long}, {"binary": packet})
            ]
            async with linked(service, smsc):
                for name in names:
                    ended = await service.until(name, messages_pb2.MESSAGE_STATE_DELIVERED)
                    assert not ended.maybe_twice
                stream = Stream(service, messages_pb2.INBOX_TEXT, "requests")
                received = await stream.next()
                stream.acknowledge(received.id)
                await stream.close()
            await judge.hear("unbound")
            submitted = judge.all("submitted")
            (delivered,) = judge.all("delivered")
    finally:
        await database.close()
    assert (received.text, received.phone) == ("Р 1 1 2 Қ", PHONE)
    assert delivered["status"] == 0
    assert {each["destination"] for each in submitted} == {PHONE.lstrip("+")}
    # The judge decodes the alphabets and headers by itself.
    assert submitted[0]["message"] == "PIN {1}: 5€"
    texts = [each for each in submitted if each["coding"] == 8]
    assert "".join(each["message"] for each in texts) == long
    parts = [each for each in submitted if each["coding"] == 0xF6]
    assert len(parts) == 4
    assert all(each["protocol"] == 0x7F for each in parts)
    assert [len(each["headers"]) for each in parts] == [2, 1, 1, 1]
    assert b"".join(bytes.fromhex(each["message"]) for each in parts) == packet
