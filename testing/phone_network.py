"""Run the simulated mobile network as a process, and have a suite use it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cli.errors import UNREACHABLE, Failure
from cli.operations.phones import ACCOUNT, SYSTEM_ID, TRANSPORT_KEY

HOST = "127.0.0.1"
STOP_SECONDS = 60.0


def phones_command(*arguments: object) -> list[str]:
    """Return the command line of `qagazsyz phones`."""
    return [sys.executable, "-m", "cli.main", "phones", *map(str, arguments)]


def smpp_settings(folder: Path, port: int) -> dict[str, str]:
    """Return the settings, by environment variable, of a suite that uses the network on this port.

    folder: has the secrets that the two share.
    """
    return {
        "QAGAZSYZ_SMPP_HOST": HOST,
        "QAGAZSYZ_SMPP_PORT": str(port),
        "QAGAZSYZ_SMPP_TLS": "off",
        "QAGAZSYZ_SMPP_SYSTEM_ID": SYSTEM_ID,
        "QAGAZSYZ_SMPP_PASSWORD": str(folder / ACCOUNT),
        "QAGAZSYZ_SIM_TRANSPORT_KEY": str(folder / TRANSPORT_KEY),
    }


@contextmanager
def running_network(
    folder: Path, *options: object, stdin: int = subprocess.PIPE
) -> Iterator[tuple[int, subprocess.Popen[str]]]:
    """Run the network of a folder on a free port during the block; yield the port and the process,
    which is told to end if it still runs. Raises Failure if it does not start, or does not end
    well."""
    with subprocess.Popen(  # noqa: S603 - our own tool
        phones_command("run", folder, "--port", 0, *options),
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None  # noqa: S101 - they are pipes
        assert process.stderr is not None  # noqa: S101
        try:
            line = process.stdout.readline()
            if not line.startswith(f"SMSC on {HOST}:"):
                raise Failure(f"the network did not start: {line}", UNREACHABLE)
            yield int(line.rpartition(":")[2]), process
        finally:
            process.terminate()
            errors = process.stderr.read()
            process.wait(STOP_SECONDS)
        if process.returncode or errors:
            raise Failure(f"the network ended with {process.returncode}: {errors}")
