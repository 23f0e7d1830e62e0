"""A suite of its own for the measurements, started as an operator starts it."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc

from benchmarks import processes
from cli.errors import Failure
from qagazsyz.client import Client
from qagazsyz.credentials import Credential

# As an operator would run it under load: a hundredth of the calls is traced.
SAMPLED = "0.01"
REVOCATION_NETWORKS = "127.0.0.0/8"
MESSAGE_LIMIT = 20 * 1024 * 1024
OPTIONS = [
    ("grpc.max_receive_message_length", MESSAGE_LIMIT),
    ("grpc.max_send_message_length", MESSAGE_LIMIT),
    # Each channel its own connection.
    ("grpc.use_local_subchannel_pool", 1),
]


@dataclass(frozen=True, slots=True)
class Suite:
    """A running suite: its gateway, its sockets, its processes."""

    data: Path
    gateway: str
    pid: int

    def socket(self, service: str) -> str:
        return f"unix:{self.data / 'run' / service}.sock"

    def process(self, service: str) -> int:
        """The process of a service, or of the gateway (Envoy below it)."""
        found = processes.named(self.pid, "serve", service)
        if found is None:
            raise Failure(f"{service} does not run")
        return found

    @property
    def operator(self) -> Credential:
        return Credential.load(self.data / "credentials" / "operator.pem")

    @property
    def trust_folder(self) -> Path:
        """Whose certificates identity trusts beside those of its own authority."""
        return self.data / "identity" / "trust"

    def channel(self, address: str) -> grpc.aio.Channel:
        return grpc.aio.insecure_channel(address, options=OPTIONS)

    async def token(self) -> str:
        """The first operator's token."""
        async with Client(self.gateway, self.operator) as client:
            return (await client.token()).access_token


@contextmanager
def running(*, database_url: str = "") -> Iterator[Suite]:
    """Starts a suite in a temporary folder, and stops it."""
    with tempfile.TemporaryDirectory(prefix="qagazsyz-bench-") as folder:
        data = Path(folder) / "data"
        tool = [sys.executable, "-m", "cli.main"]
        subprocess.run([*tool, "init", "--data", str(data)], check=True, capture_output=True)  # noqa: S603
        environment = os.environ | {
            "QAGAZSYZ_TRACE_SAMPLE_RATIO": SAMPLED,
            "QAGAZSYZ_GATEWAY_TRACE_SAMPLE_RATIO": SAMPLED,
            "QAGAZSYZ_GATEWAY_ACCESS_LOG": str(Path(folder) / "access.log"),
            # An authority outside the platform is the bench's own, on this machine.
            "QAGAZSYZ_REVOCATION_NETWORKS": REVOCATION_NETWORKS,
        }
        arguments = ["up", "--data", str(data), "--port", "0"]
        if database_url:
            arguments += ["--database-url", database_url]
        with (Path(folder) / "up.log").open("wb") as log:
            process = subprocess.Popen(  # noqa: S603
                [*tool, *arguments], stdout=subprocess.PIPE, stderr=log, env=environment, text=True
            )
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        try:
            line = process.stdout.readline()
            if "ready" not in line:
                raise Failure("the suite did not start: " + (Path(folder) / "up.log").read_text())
            try:
                yield Suite(data, line.split("http://")[1].strip(), process.pid)
            except Exception:
                print((Path(folder) / "up.log").read_text()[-4_000:], file=sys.stderr)
                raise
        finally:
            process.terminate()
            process.wait(60)
            process.stdout.close()
