"""Run a service as a process: configure telemetry, serve, and drain on SIGTERM."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor

import uvloop

from services.runtime import telemetry
from services.runtime.settings import CannotStart, ServiceSettings

log = logging.getLogger(__name__)

# Blocking work (cryptography, files) runs in a thread pool of this size, never on the event loop.
WORKER_THREADS = 8
# Objects allocated before the garbage collector looks at the youngest. At Python's 700 it runs
# several times in one batch of a hundred documents, and now and then over every imported module.
YOUNG_OBJECTS = 20_000


def run(settings: ServiceSettings, serve: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    """Run serve on uvloop with telemetry configured; set its event on SIGTERM or SIGINT.

    If serve raises CannotStart, exit with that line and status 1.
    """
    endpoint = os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT") or settings.otlp_endpoint
    telemetry.configure(
        settings.service,
        endpoint=endpoint,
        sample_ratio=settings.trace_sample_ratio,
        log_level=settings.log_level,
    )
    _tune_garbage_collector()
    try:
        uvloop.run(_main(serve))
    except CannotStart as reason:
        sys.exit(f"qagazsyz {settings.service}: {reason}")
    finally:
        telemetry.shut_down()


def _tune_garbage_collector() -> None:
    """Exclude what was imported, which stays anyhow, from later collections (gc.freeze)."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, *gc.get_threshold()[1:])


async def _main(serve: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(WORKER_THREADS, thread_name_prefix="work"))
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await serve(stop)
