"""The transparency log against fsck of Tessera, which rebuilds the tree from what is served."""

from __future__ import annotations

import asyncio
import base64
import functools
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from qagazsyz.notes import Checkpoint, VerifierKey, open_checkpoint
from qagazsyz.registry.v1 import documents_pb2
from testing.enrolment import Actor
from testing.suite_process import running_suite
from tests.integration.world import World, registration
from tests.judges.judges import FOLDER

pytestmark = pytest.mark.go

FSCK_SECONDS = 120.0
TILE = 256
# More than a tile's leaves, so that the level above has a hash.
BATCHES, BATCH_SIZE = 3, 100


async def register(world: World, officer: Actor, document_type: str, subject: str) -> None:
    for _ in range(BATCHES):
        requests = [
            registration(officer, document_type, subject, uuid.uuid4().bytes)
            for _ in range(BATCH_SIZE)
        ]
        answer = await world.documents(officer).BatchRegisterDocuments(
            documents_pb2.BatchRegisterDocumentsRequest(requests=requests), timeout=FSCK_SECONDS
        )
        assert all(each.HasField("document") for each in answer.results)


async def fsck(url: str, key: Path) -> str:
    """Return what fsck says. Its exit code is 0 whatever it found.

    It has more workers than there are tiles: one that finds a fault ends, and fsck waits for ever
    once none is left.
    """
    process = await asyncio.create_subprocess_exec(
        str(FOLDER / "go" / "fsck"),
        *("-N=16", "--ui=false", f"--storage_url={url}/log/", f"--public_key={key}"),
        env={**os.environ, "GOMEMLIMIT": "1GiB"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(FSCK_SECONDS):
            output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return output.decode()


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve the files of a folder during the block; give the URL."""
    handler = functools.partial(SimpleHTTPRequestHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


async def copy(world: World, folder: Path) -> Checkpoint:
    """Copy the log as the gateway serves it, with one full tile and one begun."""
    async with world.http() as http:
        key = (await http.get("/log/key")).text
        checkpoint = (await http.get("/log/checkpoint")).content
        tree = open_checkpoint(checkpoint, VerifierKey.parse(key))
        more = tree.tree_size - TILE
        assert 0 < more < TILE
        begun = [f"tile/0/001.p/{more}", f"tile/entries/001.p/{more}", "tile/1/000.p/1"]
        for path in ("key", "tile/0/000", "tile/entries/000", *begun):
            answer = await http.get(f"/log/{path}")
            answer.raise_for_status()
            (folder / "log" / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / "log" / path).write_bytes(answer.content)
        (folder / "log" / "checkpoint").write_bytes(checkpoint)
    return tree


async def test_fsck_rebuilds_the_tree_and_finds_one_bit_of_an_entry(tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    with running_suite(tmp_path / "data") as suite:
        world = World(suite)
        try:
            officer, citizen = await world.officer(), await world.citizen()
            document_type = await world.document_type(officer.organization)
            await register(world, officer, document_type, citizen.subject)
            tree = await copy(world, folder)
        finally:
            await world.close()
        key = folder / "log" / "key"
        root = base64.b64encode(tree.root_hash).decode()
        whole = f"Successfully fsck'd log with size {tree.tree_size} and root {root}"
        assert whole in await fsck(f"http://{suite.gateway}", key)
    with served(folder) as url:
        assert whole in await fsck(url, key)
        entries = folder / "log" / "tile" / "entries" / "000"
        content = bytearray(entries.read_bytes())
        content[-1] ^= 1
        entries.write_bytes(content)
        output = await fsck(url, key)
        assert "fsck failed" in output and "Successfully" not in output
