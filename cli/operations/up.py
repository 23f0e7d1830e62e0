"""`qagazsyz up`: run the whole suite under one supervisor."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import os
import shutil
import signal
import socket
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from cli.errors import UNREACHABLE, Failure
from cli.operations.data_folder import (
    COLLECTOR_SOCKET,
    MESSAGING,
    PREVIOUS_KEY_ENCRYPTION_KEY,
    SERVICES,
    SMSC_VARIABLE,
    DataFolder,
    private_files,
)
from cli.operations.supervisor import Program, Supervisor
from cli.options import DEFAULT_DATA, Data
from cli.terminal import say

# Four services import, migrate and start, which takes a slow machine many seconds.
READY_SECONDS = 120.0
POLL_SECONDS = 0.05
# Longer than a gateway drains whose supervisor is gone.
PORT_SECONDS = 15.0
# Variables for the tool's other commands, not passed on to the processes: a service would read the
# first as its own credential.
TOOL_VARIABLES = frozenset({"QAGAZSYZ_CREDENTIAL", "QAGAZSYZ_ORGANIZATION", "QAGAZSYZ_GATEWAY"})


@dataclass(frozen=True, slots=True)
class Plan:
    """Where the suite runs: data folder, sockets, port, signing processes, databases."""

    data: DataFolder
    sockets: Path
    port: int
    host: str = "127.0.0.1"
    workers: int = 1
    database_url: str = ""

    @property
    def collector(self) -> str:
        """The address of the embedded collector."""
        return f"unix:{self.sockets / COLLECTOR_SOCKET}"

    def address(self, service: str) -> str:
        """Choose a service's address; several, by comma, for several signing processes."""
        if service == "signing" and self.workers > 1:
            sockets = (self.sockets / f"signing-{number}.sock" for number in range(self.workers))
            return ",".join(f"unix:{path}" for path in sockets)
        return f"unix:{self.sockets / service}.sock"

    def database(self, service: str) -> str:
        """Return the URL of a service's database, "" for SQLite in its folder."""
        return self.database_url.replace("{service}", service)

    def programs(self, environment: Mapping[str, str]) -> list[Program]:
        """Return the processes in the order in which they start."""
        environment = {name: environment[name] for name in environment.keys() - TOOL_VARIABLES}
        services = (*SERVICES, MESSAGING) if environment.get(SMSC_VARIABLE) else SERVICES
        addresses = {service: self.address(service) for service in services}
        common = {
            **environment,
            "QAGAZSYZ_IDENTITY_ADDRESS": addresses["identity"],
            "QAGAZSYZ_SIGNING_ADDRESS": addresses["signing"],
            "QAGAZSYZ_REGISTRY_ADDRESS": addresses["registry"],
            "QAGAZSYZ_OTLP_ENDPOINT": self.collector,
        }
        if MESSAGING in addresses:
            common["QAGAZSYZ_MESSAGING_ADDRESS"] = addresses[MESSAGING]
        previous = self.data.of("signing") / PREVIOUS_KEY_ENCRYPTION_KEY
        # A rewrap was interrupted: signing needs both keys until it is run again.
        if previous.exists():
            common["QAGAZSYZ_PREVIOUS_KEY_ENCRYPTION_KEY"] = str(previous.absolute())
        programs = []
        for service in services:
            listeners = addresses[service].split(",")
            for number, listener in enumerate(listeners):
                own = {
                    **common,
                    "QAGAZSYZ_FOLDER": str(self.data.of(service).absolute()),
                    "QAGAZSYZ_LISTEN": listener,
                    "QAGAZSYZ_DATABASE_URL": self.database(service),
                }
                name = service if len(listeners) == 1 else f"{service}-{number}"
                programs.append(Program(name, _serve(service), own))
        gateway = {
            **environment,
            "QAGAZSYZ_GATEWAY_FOLDER": str(self.data.of("gateway").absolute()),
            "QAGAZSYZ_GATEWAY_LISTEN": f"{self.host}:{self.port}",
            "QAGAZSYZ_GATEWAY_OTLP_ENDPOINT": self.collector,
            **{f"QAGAZSYZ_GATEWAY_{name.upper()}": addresses[name] for name in SERVICES},
        }
        programs.append(Program("gateway", _serve("gateway"), gateway))
        return programs


def _serve(part: str) -> list[str]:
    return [sys.executable, "-m", "cli.main", "serve", part]


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def up(
    data: Data = DEFAULT_DATA,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="The gateway's port; 0 takes a free one.")
    ] = 8080,
    host: Annotated[str, typer.Option(help="The gateway's IP address.")] = "127.0.0.1",
    workers: Annotated[int, typer.Option(min=1, help="Processes of the signing service.")] = 1,
    database_url: Annotated[
        str,
        typer.Option(
            envvar="QAGAZSYZ_UP_DATABASE_URL",
            help="PostgreSQL instead of SQLite, {service} for the service's name.",
        ),
    ] = "",
) -> None:
    """Run all services and the gateway; stops cleanly on Ctrl-C and SIGTERM."""
    folder = DataFolder(data)
    if not folder.is_initialized():
        raise Failure(f"{data}: not a data folder; run qagazsyz init --data {data} first")
    if database_url and "{service}" not in database_url:
        raise Failure("the database URL must contain {service}: each service has its own database")
    private_files()
    plan = Plan(folder, folder.sockets(), port or _free_port(), host, workers, database_url)
    with folder.lock():
        try:
            wait_for_port(plan.host, plan.port)
            asyncio.run(run(plan))
        finally:
            if not plan.sockets.is_relative_to(data.absolute()):
                shutil.rmtree(plan.sockets, ignore_errors=True)


def wait_for_port(host: str, port: int) -> None:
    """Wait until the port is free. Raises Failure if it stays in use, or host is no IP address.

    Envoy would share it (SO_REUSEPORT), and calls would reach either suite. A gateway whose
    supervisor was killed releases the port once it has drained.
    """
    deadline = time.monotonic() + PORT_SECONDS
    is_reported = False
    while True:
        try:
            family = socket.AF_INET6 if ipaddress.ip_address(host).version == 6 else socket.AF_INET
            socket.create_server((host, port), family=family).close()
            return
        except ValueError:
            raise Failure(f"--host {host}: not an IP address") from None
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise Failure(f"{host}:{port}: {error.strerror}") from None
            if time.monotonic() > deadline:
                raise Failure(f"another program has {host}:{port}", UNREACHABLE) from None
        if not is_reported:
            is_reported = True
            _report(f"another program has {host}:{port}; waiting for it to end")
        time.sleep(POLL_SECONDS)


async def run(plan: Plan) -> None:
    """Run the suite until SIGTERM or SIGINT. Raises Failure if it does not become ready.

    Each service migrates its own database before it takes calls.
    """
    from cli.operations.collector import Collector

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    plan.data.of("gateway").mkdir(mode=0o700, exist_ok=True)
    collector = Collector(plan.data.traces)
    if not os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT"):  # else spans go there instead
        await collector.start(plan.collector)
    programs = plan.programs(os.environ)
    supervisor = Supervisor(programs, report=_report, changed=partial(_write_processes, plan.data))
    await supervisor.start()
    try:
        if await _becomes_ready(plan, stop):
            say(f"qagazsyz is ready at http://{plan.host}:{plan.port}")
            await stop.wait()
    finally:
        await supervisor.stop()
        await collector.stop()


async def _becomes_ready(plan: Plan, stop: asyncio.Event) -> bool:
    """Return True once /readyz answers 200, False if told to stop before that."""
    try:
        async with asyncio.timeout(READY_SECONDS):
            while not stop.is_set():
                if await _status_of_readyz(plan.host, plan.port) == 200:
                    return True
                await asyncio.sleep(POLL_SECONDS)
    except TimeoutError:
        raise Failure(f"not ready within {READY_SECONDS:.0f} seconds", UNREACHABLE) from None
    return False


async def _status_of_readyz(host: str, port: int) -> int | None:
    try:
        reader, writer = await asyncio.open_connection(host, port)
    except OSError:
        return None
    try:
        writer.write(f"GET /readyz HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        line = await reader.readline()
    except OSError:
        return None
    finally:
        writer.close()
    parts = line.split()
    return int(parts[1]) if len(parts) > 1 and parts[1].isdigit() else None


def _write_processes(data: DataFolder, process_ids: Mapping[str, int]) -> None:
    lines = "".join(f"{name} {number}\n" for name, number in process_ids.items())
    data.processes.write_text(lines)


def _report(message: str) -> None:
    say(f"qagazsyz up: {message}", to=sys.stderr)
