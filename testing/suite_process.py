"""Run the whole suite as a subprocess in a data folder of its own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from cli.errors import UNREACHABLE, Failure

START_SECONDS = 120.0
# The supervisor gives each of its four processes fifteen seconds.
STOP_SECONDS = 60.0


@dataclass(slots=True)
class RunningSuite:
    """A suite in a data folder of its own, on a port of its own."""

    data: Path
    port: int
    arguments: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    process: subprocess.Popen[str] | None = None

    @property
    def gateway(self) -> str:
        """The gateway's host:port, for gRPC and HTTP alike."""
        return f"127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        """The file of all processes' standard output and error, with the access log."""
        return self.data.with_name(f"{self.data.name}.log")

    def start(self) -> None:
        """Start the suite; return when it is ready. Raises Failure if it does not become so."""
        command = [sys.executable, "-m", "cli.main", "up", "--data", str(self.data)]
        with self.log.open("a") as log:
            self.process = subprocess.Popen(  # noqa: S603 - our own tool
                [*command, "--port", str(self.port), *self.arguments],
                env={**os.environ, **self.environment},
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert self.process.stdout is not None  # noqa: S101 - it is a pipe
        line = self.process.stdout.readline()
        if "is ready" not in line:
            self.stop()
            raise Failure(f"the suite did not start, see {self.log}", UNREACHABLE)

    def stop(self) -> int:
        """Stop the suite cleanly; return its exit code."""
        process = self.process
        if process is None:
            return 0
        self.process = None
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            code = process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            code = process.wait()
        if process.stdout is not None:
            process.stdout.close()
        return code

    def children(self) -> dict[str, int]:
        """Return the process ids by part, which `up` writes to its data folder."""
        lines = (self.data / "run" / "processes").read_text().splitlines()
        return {name: int(number) for name, number in (line.split() for line in lines)}

    def wait_until_ready(self) -> None:
        """Wait until /readyz answers 200. Raises Failure after START_SECONDS."""
        import http.client

        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=2)
            try:
                connection.request("GET", "/readyz")
                if connection.getresponse().status == http.HTTPStatus.OK:
                    return
            except (OSError, http.client.HTTPException):
                pass
            finally:
                connection.close()
            time.sleep(0.05)
        raise Failure("the suite did not become ready", UNREACHABLE)


def initialize(data: Path, *arguments: str) -> None:
    """Run `qagazsyz init` in a folder. Raises Failure if it fails."""
    command = [sys.executable, "-m", "cli.main", "init", "--data", str(data), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise Failure(done.stderr.strip() or "init failed", done.returncode)


def free_port() -> int:
    """Return a port on loopback that is free now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextmanager
def running_suite(
    data: Path, *arguments: str, environment: Mapping[str, str] | None = None
) -> Iterator[RunningSuite]:
    """Initialize a data folder, and run a suite there during the block.

    arguments: of `qagazsyz up`; environment: of its processes, beside this process' own.
    """
    initialize(data)
    suite = RunningSuite(data, free_port(), arguments, environment or {})
    suite.start()
    try:
        yield suite
    finally:
        suite.stop()
