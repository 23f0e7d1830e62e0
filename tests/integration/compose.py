"""Run compose.yaml without containers: each service as a process, by its command and environment.

The content of the image is built with the RUN line of deploy/Dockerfile. Host names become ports on
loopback, /data a temporary folder, and the database server the tests' own, on its socket. This does
not test the images themselves, their users, read-only roots and networks.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from testing.postgres import Postgres
from testing.suite_process import free_port

REPOSITORY = Path(__file__).parents[2]
DOCKERFILE = REPOSITORY / "deploy" / "Dockerfile"
VARIABLE = re.compile(r"\$\{\w+:-([^}]*)\}")
SERVICES = ("identity", "signing", "registry", "requests")


def load() -> dict[str, Any]:
    """Load compose.yaml with every variable at its default."""
    text = (REPOSITORY / "compose.yaml").read_text()
    loaded: dict[str, Any] = yaml.safe_load(VARIABLE.sub(lambda match: match[1], text))
    return loaded


def build(folder: Path) -> Path:
    """Build the image's /opt/qagazsyz in the folder; return the folder of its programs.

    Dependencies are those of this environment; our distributions are built by the Dockerfile's
    line.
    """
    image = folder / "qagazsyz"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(image)], check=True)
    site = next(image.glob("lib/python3.*/site-packages"))
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    (line,) = re.findall(r"^RUN (export PATH=.*?[^\\])$", DOCKERFILE.read_text(), re.S | re.M)
    places = {
        "/opt/build": sys.prefix,
        "/opt/qagazsyz": str(image),
        "/tmp/wheels": str(folder / "wheels"),  # noqa: S108 - the image's, not this machine's
    }
    line = re.sub("|".join(places), lambda match: places[match[0]], line)
    context = folder / "context"
    context.mkdir()
    ignored = shutil.ignore_patterns("target", "__pycache__")  # as .dockerignore has it
    for copied in re.findall(r"^COPY (?!--from)(.*) \S+$", DOCKERFILE.read_text(), re.M):
        for path in (path for name in copied.split() for path in REPOSITORY.glob(name)):
            if path.is_dir():
                shutil.copytree(path, context / path.name, ignore=ignored)
            else:
                shutil.copy(path, context / path.name)
    # Without cargo, as in the default base image.
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(folder)}
    subprocess.run(["sh", "-euc", line], cwd=context, env=environment, check=True)
    return image / "bin"


@dataclass(slots=True)
class Entry:
    """A container's entry point as a process."""

    command: Sequence[str]
    health: Sequence[str]
    environment: Mapping[str, str]
    port: int
    log: Path
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command, env=self.environment, cwd="/", stdout=log, stderr=log
            )

    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def listens(self) -> bool:
        """Whether its port accepts connections, which is cheaper than its health check."""
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", self.port)) == 0

    def is_healthy(self) -> bool:
        """Run the container's health check; return whether it succeeds."""
        done = subprocess.run(
            self.health, env=self.environment, cwd="/", capture_output=True, check=False
        )
        return done.returncode == 0

    def stop(self) -> int:
        """Stop it by SIGTERM; return the exit code."""
        if self.process is None:
            return 0
        self.process.terminate()
        return self.process.wait(30)


@dataclass(slots=True)
class Composition:
    """The file, and the local names for its hosts and volumes."""

    folder: Path
    programs: Path
    postgres: Postgres
    file: dict[str, Any] = field(default_factory=load)
    ports: dict[str, list[int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in (*SERVICES, "gateway"):
            replicas = self.file["services"][name].get("deploy", {}).get("replicas", 1)
            self.ports[name] = [free_port() for _ in range(replicas)]

    @property
    def data(self) -> Path:
        """The folder of the volumes."""
        return self.folder / "data"

    def entries(self, name: str) -> list[Entry]:
        """Return the replicas of a service."""
        return [self._entry(name, number) for number in range(len(self.ports.get(name, "1")))]

    def _entry(self, name: str, number: int) -> Entry:
        service = self.file["services"][name]

        def program(words: Sequence[str]) -> list[str]:
            return [
                str(self.programs / words[0]),
                *(self._here(w, name, number) for w in words[1:]),
            ]

        health: Sequence[str] = service.get("healthcheck", {}).get("test", ["CMD", "qagazsyz"])
        assert health[0] == "CMD"
        set_here = {
            key: self._here("" if value is None else str(value), name, number)
            for key, value in service.get("environment", {}).items()
        }
        return Entry(
            command=program(["qagazsyz", *service["command"]]),
            health=program(health[1:]),
            environment={"PATH": f"{self.programs}:{os.environ['PATH']}", **set_here},
            port=self._port(name, number),
            log=self.folder / f"{name}-{number}.log",
        )

    def _here(self, text: str, name: str, number: int) -> str:
        """Replace the names in a word of compose.yaml by local ones."""
        if text.startswith("postgresql://"):
            return text.replace("@postgres/", "@/") + f"?host={self.postgres.folder}"
        text = text.replace("/data", str(self.data))
        for other in SERVICES:
            at = ",".join(f"127.0.0.1:{port}" for port in self.ports[other])
            text = re.sub(rf"^{other}:50051$", at, text)
        own = f"127.0.0.1:{self._port(name, number)}"
        return re.sub(r"(0\.0\.0\.0|127\.0\.0\.1|localhost):(50051|8080)", own, text)

    def _port(self, name: str, number: int) -> int:
        return self.ports[name][number] if name in self.ports else 0
