"""Paths and the lock of the data folder that `qagazsyz init` makes."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cli.errors import Failure

# The signing service's key, and the one before it while `keys rewrap` is under way.
KEY_ENCRYPTION_KEY = "key-encryption.key"
PREVIOUS_KEY_ENCRYPTION_KEY = "key-encryption.previous"
SERVICES = ("identity", "signing", "registry", "requests")
# Names the SMSC; without it no messaging is started.
SMSC_VARIABLE = "QAGAZSYZ_SMPP_HOST"
MESSAGING = "messaging"
# What has a folder and a database.
ALL_SERVICES = (*SERVICES, MESSAGING)

# A unix socket's path has 104 bytes at most on macOS, 108 on Linux, the final zero included.
SOCKET_PATH_LIMIT = 100
COLLECTOR_SOCKET = "collector.sock"


def private_files() -> None:
    """Set the umask of this process and of those it starts, so that only the owner reads files."""
    os.umask(0o077)


@dataclass(frozen=True, slots=True)
class DataFolder:
    """The folder of one installation."""

    path: Path

    def of(self, service: str) -> Path:
        """The service's own folder, which holds its secrets only."""
        return self.path / service

    @property
    def credentials(self) -> Path:
        return self.path / "credentials"

    @property
    def operator(self) -> Path:
        """The first operator's credential."""
        return self.credentials / "operator.pem"

    @property
    def traces(self) -> Path:
        return self.path / "traces"

    @property
    def processes(self) -> Path:
        """The file that lists the processes of a running `up`, a line "part process-id" each."""
        return self.path / "run" / "processes"

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Lock the folder for one process during the block. Raises Failure if another has it."""
        run = self.path / "run"
        run.mkdir(mode=0o700, exist_ok=True)
        with (run / "lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise Failure(f"{self.path} is in use: qagazsyz up runs there") from None
            yield

    def is_initialized(self) -> bool:
        """Return whether init has finished here."""
        return (self.of("identity") / "seed.json").exists()

    def sockets(self) -> Path:
        """Return a folder for sockets: run/ inside, or a temporary one if that path is too long.

        The collector's socket has the longest name of all.
        """
        run = self.path.absolute() / "run"
        if len(str(run / COLLECTOR_SOCKET).encode()) > SOCKET_PATH_LIMIT:
            return Path(tempfile.mkdtemp(prefix="qagazsyz-"))
        run.mkdir(mode=0o700, exist_ok=True)
        return run
