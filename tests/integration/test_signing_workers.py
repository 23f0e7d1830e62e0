"""Several signing processes behind one port: they share it, are replaced, and stop together."""

from __future__ import annotations

import base64
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.unit.signing.builders import TestKey

PATIENCE_SECONDS = 60.0
POLL_SECONDS = 0.05


@dataclass(slots=True)
class Service:
    process: subprocess.Popen[bytes]
    port: int

    def workers(self) -> set[int]:
        found = subprocess.run(
            ["pgrep", "-P", str(self.process.pid)], capture_output=True, text=True
        )
        return {int(line) for line in found.stdout.split()}

    def is_serving(self) -> bool:
        # A connection of its own each time: the kernel gives it to any of the workers.
        options = [("grpc.use_local_subchannel_pool", 1)]
        with grpc.insecure_channel(f"127.0.0.1:{self.port}", options=options) as channel:
            try:
                answer = health_pb2_grpc.HealthStub(channel).Check(
                    health_pb2.HealthCheckRequest(), timeout=5
                )
            except grpc.RpcError:
                return False
            return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


def until(condition: Callable[[], bool]) -> None:
    """Returns once the condition holds; fails where it never does."""
    end = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < end
        time.sleep(POLL_SECONDS)


def environment(folder: Path, listen: str, workers: int) -> dict[str, str]:
    line = "test " + base64.b64encode(bytes(32)).decode()
    (folder / "key-encryption.key").write_text(line)
    (folder / "key-encryption.key").chmod(0o600)
    key = TestKey()
    certificate = x509.load_der_x509_certificate(key.certificate())
    (folder / "credential.pem").write_bytes(
        certificate.public_bytes(serialization.Encoding.PEM)
        + key.private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return {
        **os.environ,
        "QAGAZSYZ_FOLDER": str(folder),
        "QAGAZSYZ_LISTEN": listen,
        "QAGAZSYZ_WORKERS": str(workers),
        "QAGAZSYZ_IDENTITY_ADDRESS": "127.0.0.1:1",
    }


COMMAND = [sys.executable, "-m", "services.signing.main"]


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            COMMAND, env=environment(tmp_path, f"127.0.0.1:{port}", 2), stderr=log
        )
    yield Service(process, port)
    process.kill()
    process.wait()


def test_workers_share_a_port_are_replaced_and_stop_together(service: Service) -> None:
    until(service.is_serving)
    until(lambda: len(service.workers()) == 2)
    before = service.workers()
    killed = min(before)
    os.kill(killed, signal.SIGKILL)
    until(lambda: killed not in service.workers() and len(service.workers()) == 2)
    until(service.is_serving)
    workers = service.workers()
    service.process.terminate()
    assert service.process.wait(PATIENCE_SECONDS) == 0
    for worker in workers:
        with pytest.raises(ProcessLookupError):
            os.kill(worker, 0)


@pytest.mark.parametrize("listen", ["127.0.0.1:0", "unix:/tmp/none.sock"])
def test_an_address_that_cannot_be_shared_is_refused(tmp_path: Path, listen: str) -> None:
    done = subprocess.run(
        COMMAND, env=environment(tmp_path, listen, 2), capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "fixed port" in done.stderr


def test_a_key_file_that_others_may_read_is_refused_at_start(tmp_path: Path) -> None:
    variables = environment(tmp_path, "127.0.0.1:0", 1)
    (tmp_path / "key-encryption.key").chmod(0o644)
    done = subprocess.run(COMMAND, env=variables, capture_output=True, text=True)
    assert done.returncode == 1
    assert "chmod 0600" in done.stderr


def test_workers_that_can_never_start_end_the_process_that_starts_them(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    variables = environment(tmp_path, f"127.0.0.1:{port}", 2)
    (tmp_path / "key-encryption.key").chmod(0o644)
    done = subprocess.run(
        COMMAND, env=variables, capture_output=True, text=True, timeout=2 * PATIENCE_SECONDS
    )
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    assert "given up" in lines[-1]
    assert sum("given up" in line for line in lines) == 1
    # Each worker says why, as one alone would.
    assert any("chmod 0600" in line for line in lines)
