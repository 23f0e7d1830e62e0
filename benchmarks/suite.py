"""Run a suite for the measurements, as an operator starts it."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc

from benchmarks import processes
from cli.errors import Failure
from qagazsyz.client import Client
from qagazsyz.credentials import Credential
from testing.suite_process import RunningSuite, free_port, initialize

# The share of calls that is traced, as an operator would set it under load.
SAMPLED = "0.01"
REVOCATION_NETWORKS = "127.0.0.0/8"
# How much of a suite's log is printed after an error.
LOG_CHARACTERS = 4_000
MESSAGE_LIMIT = 20 * 1024 * 1024
OPTIONS = [
    ("grpc.max_receive_message_length", MESSAGE_LIMIT),
    ("grpc.max_send_message_length", MESSAGE_LIMIT),
    # A connection of its own for each channel.
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
        """Return the process id of a service, or of the gateway, whose child is Envoy."""
        found = processes.named(self.pid, "serve", service)
        if found is None:
            raise Failure(f"{service} does not run")
        return found

    @property
    def operator(self) -> Credential:
        return Credential.load(self.data / "credentials" / "operator.pem")

    @property
    def trust_folder(self) -> Path:
        """The folder of the external authorities that identity trusts."""
        return self.data / "identity" / "trust"

    def channel(self, address: str) -> grpc.aio.Channel:
        return grpc.aio.insecure_channel(address, options=OPTIONS)

    async def token(self) -> str:
        """Sign in as the first operator; return the access token."""
        async with Client(self.gateway, self.operator) as client:
            return (await client.token()).access_token


@contextmanager
def running(
    *, database_url: str = "", settings: Mapping[str, str] | None = None
) -> Iterator[Suite]:
    """Run a suite in a temporary folder during the block; on an error print the end of its log.

    settings: environment variables of its processes, beside those of every measurement.
    """
    with tempfile.TemporaryDirectory(prefix="qagazsyz-bench-") as folder:
        data = Path(folder) / "data"
        environment = {
            "QAGAZSYZ_TRACE_SAMPLE_RATIO": SAMPLED,
            "QAGAZSYZ_GATEWAY_TRACE_SAMPLE_RATIO": SAMPLED,
            "QAGAZSYZ_GATEWAY_ACCESS_LOG": str(Path(folder) / "access.log"),
            # The external authority of the benchmarks is on this machine.
            "QAGAZSYZ_REVOCATION_NETWORKS": REVOCATION_NETWORKS,
            **(settings or {}),
        }
        database = ("--database-url", database_url) if database_url else ()
        initialize(data)
        suite = RunningSuite(data, free_port(), database, environment)
        try:
            suite.start()
            assert suite.process is not None  # noqa: S101 - it was started
            yield Suite(data, suite.gateway, suite.process.pid)
        except Exception:
            print(suite.log.read_text()[-LOG_CHARACTERS:], file=sys.stderr)
            raise
        finally:
            suite.stop()
