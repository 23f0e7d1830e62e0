"""Several processes behind one port: the kernel shares connections out among them (SO_REUSEPORT).

The first process starts the same command so many times over, starts again what
dies, and passes SIGTERM on. It takes no calls and holds no secrets itself. Where
workers do nothing but die at their start, it ends too, and says so: a folder that
cannot be read gets no better by being tried for ever, and whoever supervises this
process must learn of it.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from services.runtime import telemetry
from services.signing.settings import SigningSettings

log = logging.getLogger(__name__)

# A worker that cannot live must not be started in a tight loop.
RESTART_PAUSE_SECONDS = 0.5
# A worker that lived so long had started: importing, migrating and reading its keys takes a few
# seconds, on a busy machine some more.
STEADY_SECONDS = 20.0
# Starts that each worker gets while none becomes steady: what passes, as a database that restarts
# or a worker that an operator kills, is over by then or is for the supervisor to wait for.
STARTS_EACH = 3


@dataclass(frozen=True, slots=True)
class _Worker:
    """A process and the monotonic second in which it was started."""

    process: subprocess.Popen[bytes]
    started: float


class EarlyDeaths:
    """Counts workers that died in a row while none was steady."""

    def __init__(self, workers: int) -> None:
        self._limit = workers * STARTS_EACH
        self._in_a_row = 0

    def add(self, ages: Iterable[float]) -> bool:
        """Whether it is time to give up, now that a worker died.

        ages: for how many seconds it, and each of those that still run, has lived.
        """
        self._in_a_row = 0 if max(ages) >= STEADY_SECONDS else self._in_a_row + 1
        return self._in_a_row >= self._limit


def run_workers(settings: SigningSettings, *, now: Callable[[], float] = time.monotonic) -> None:
    """Runs settings.workers processes until SIGTERM or SIGINT.

    Exits with one line where they cannot share the address - a unix socket is one process's, and
    so is a port that the system chooses - and where none of them can live.
    """
    if settings.listen.startswith("unix:") or settings.listen.endswith(":0"):
        sys.exit(f"qagazsyz signing: {settings.workers} workers need host:port, with a fixed port")
    telemetry.configure(
        settings.service, endpoint="", sample_ratio=0.0, log_level=settings.log_level
    )
    # They share the cores, unless the environment says how many threads each has.
    threads = max(1, settings.threads // settings.workers)
    workers: dict[int, _Worker] = {}
    early_deaths = EarlyDeaths(settings.workers)
    given_up = False
    stopping = threading.Event()

    def stop(_number: int, _frame: object) -> None:
        stopping.set()
        for worker in workers.values():
            worker.process.terminate()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    for _ in range(settings.workers):
        _start(workers, threads, now())
    while not stopping.is_set():
        process_id, status = os.wait()
        worker = workers.pop(process_id, None)
        if worker is None or stopping.is_set():
            continue
        # Reaped already; subprocess must not wait for it again.
        worker.process.returncode = os.waitstatus_to_exitcode(status)
        log.error("a worker ended", extra={"exit_code": worker.process.returncode})
        died = now()
        given_up = early_deaths.add(died - one.started for one in (worker, *workers.values()))
        if given_up:
            break
        if not stopping.wait(RESTART_PAUSE_SECONDS):
            _start(workers, threads, now())
    for worker in workers.values():
        # One that was started while the signal came has not had it.
        worker.process.terminate()
        worker.process.wait()
    if given_up:
        sys.exit("qagazsyz signing: the workers die at their start, again and again; given up")


def _start(workers: dict[int, _Worker], threads: int, now: float) -> None:
    # The command as it was given, "serve signing" or any other, with whatever it inherited.
    process = subprocess.Popen(  # noqa: S603 - our own command line
        [sys.executable, *sys.orig_argv[1:]],
        env={"QAGAZSYZ_THREADS": str(threads), **os.environ, "QAGAZSYZ_WORKERS": "1"},
        close_fds=False,
    )
    workers[process.pid] = _Worker(process, now)
