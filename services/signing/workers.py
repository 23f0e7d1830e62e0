"""Several processes behind one port: the kernel shares connections out among them (SO_REUSEPORT).

The first process starts the same command so many times over, starts again what
dies, and passes SIGTERM on. It takes no calls and holds no secrets itself.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading

from services.runtime import telemetry
from services.signing.settings import SigningSettings

log = logging.getLogger(__name__)

# A worker that cannot live must not be started in a tight loop.
RESTART_PAUSE_SECONDS = 0.5


def run_workers(settings: SigningSettings) -> None:
    """Runs settings.workers processes until SIGTERM or SIGINT. Exits where they cannot share the
    address: a unix socket is one process's, and so is a port that the system chooses."""
    if settings.listen.startswith("unix:") or settings.listen.endswith(":0"):
        sys.exit(f"qagazsyz signing: {settings.workers} workers need host:port, with a fixed port")
    telemetry.configure(
        settings.service, endpoint="", sample_ratio=0.0, log_level=settings.log_level
    )
    # They share the cores, unless the environment says how many threads each has.
    threads = max(1, settings.threads // settings.workers)
    workers: dict[int, subprocess.Popen[bytes]] = {}
    stopping = threading.Event()

    def stop(_number: int, _frame: object) -> None:
        stopping.set()
        for worker in workers.values():
            worker.terminate()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    for _ in range(settings.workers):
        _start(workers, threads)
    while not stopping.is_set():
        process_id, status = os.wait()
        worker = workers.pop(process_id, None)
        if worker is None or stopping.is_set():
            continue
        # Reaped already; subprocess must not wait for it again.
        worker.returncode = os.waitstatus_to_exitcode(status)
        log.error("a worker ended", extra={"exit_code": worker.returncode})
        if not stopping.wait(RESTART_PAUSE_SECONDS):
            _start(workers, threads)
    for worker in workers.values():
        # One that was started while the signal came has not had it.
        worker.terminate()
        worker.wait()


def _start(workers: dict[int, subprocess.Popen[bytes]], threads: int) -> None:
    # The command as it was given, "serve signing" or any other, with whatever it inherited.
    worker = subprocess.Popen(  # noqa: S603 - our own command line
        [sys.executable, *sys.orig_argv[1:]],
        env={"QAGAZSYZ_THREADS": str(threads), **os.environ, "QAGAZSYZ_WORKERS": "1"},
        close_fds=False,
    )
    workers[worker.pid] = worker
