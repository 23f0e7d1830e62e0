"""`qagazsyz phones`: a simulated mobile network, its subscribers, their lists for the platform."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import signal
import sys
import threading
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any

import typer

from cli.errors import CHECK_FAILED, Failure
from cli.output import write_secret
from cli.terminal import say

if TYPE_CHECKING:
    import ssl

    from phones.console import Console
    from phones.subscribers import Subscriber

phones = typer.Typer(
    help="A simulated mobile network: SMSC, SIMs and handsets.", no_args_is_help=True
)

DEFAULT_FOLDER = Path("qagazsyz-phones")
SUBSCRIBERS = "subscribers.json"
TRANSPORT_KEY = "transport.key"
ACCOUNT = "smpp.password"
# Who may bind, with the password of the folder.
SYSTEM_ID = "qagazsyz"
# SMPP has room for eight characters: 48 random bits.
PASSWORD_RANDOM_BYTES = 6
# A hundred thousand subscribers of 700 bytes.
SUBSCRIBERS_LIMIT_BYTES = 64 * 1024 * 1024
# Of what is typed, at once.
INPUT_BYTES = 4096

Folder = Annotated[Path, typer.Argument(help="The folder that phones new made.")]


@phones.command()
def new(
    folder: Folder = DEFAULT_FOLDER,
    count: Annotated[
        int, typer.Option(min=0, max=100_000, help="People who sign; others come on top.")
    ] = 20,
    first: Annotated[str, typer.Option(help="The first number, E.164.")] = "+77010001000",
) -> None:
    """Make subscribers with SIMs, and the lists that ImportSims and ImportSimKeys take.

    After the people who sign, one number for each other outcome: its last three digits say which.
    """
    from phones.subscribers import TRANSPORT_KEY_OCTETS, new_subscribers, write_subscribers

    if not first.startswith("+") or not first[1:].isdecimal() or not 11 <= len(first) <= 16:
        raise Failure(f"--first {first}: not a number like +77010001000")
    try:
        subscribers = new_subscribers(count, first, secrets.token_bytes)
    except ValueError as error:
        raise Failure(f"--first {first}: {error}") from None
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not (folder / ".gitignore").exists():
        write_secret(folder / ".gitignore", b"*\n")
    write_secret(folder / SUBSCRIBERS, write_subscribers(subscribers))
    transport_key = secrets.token_bytes(TRANSPORT_KEY_OCTETS)
    write_secret(folder / TRANSPORT_KEY, transport_key.hex().encode() + b"\n")
    password = secrets.token_urlsafe(PASSWORD_RANDOM_BYTES)
    write_secret(folder / ACCOUNT, password.encode() + b"\n")
    _write_lists(folder, subscribers, transport_key)
    say(f"{len(subscribers)} subscribers in {folder}")


@phones.command()
def lists(folder: Folder = DEFAULT_FOLDER) -> None:
    """Write the lists again, after a SIM was swapped."""
    _write_lists(folder, _load(folder), _transport_key(folder))


def _transport_key(folder: Path) -> bytes:
    from services.runtime.secret_files import read_secret

    path = folder / TRANSPORT_KEY
    try:
        return bytes.fromhex(read_secret(path).decode("ascii"))
    except ValueError:
        raise Failure(f"{path}: not a transport key") from None


def _password(folder: Path) -> str:
    from services.runtime.secret_files import read_secret

    return read_secret(folder / ACCOUNT).decode("ascii", "replace").strip()


def _load(folder: Path) -> list[Subscriber]:
    from phones.subscribers import MalformedFile, read_subscribers
    from services.runtime.secret_files import read_secret

    path = folder / SUBSCRIBERS
    try:
        return read_subscribers(read_secret(path, SUBSCRIBERS_LIMIT_BYTES))
    except MalformedFile as error:
        raise Failure(f"{path}: {error}") from None


def _write_lists(folder: Path, subscribers: Sequence[Subscriber], transport_key: bytes) -> None:
    from phones.subscribers import key_lists, sim_lists

    try:
        keys = list(key_lists(subscribers, transport_key))
    except ValueError as error:
        raise Failure(f"{folder / TRANSPORT_KEY}: {error}") from None
    for stem, requests in (("sims", sim_lists(subscribers)), ("sim-keys", keys)):
        _write_numbered(folder, stem, requests)


def _write_numbered(folder: Path, stem: str, requests: Iterable[Mapping[str, Any]]) -> None:
    """Write one file a request, "sims-1.json" and so on."""
    from services.runtime.secret_files import replacing_secret

    for number, request in enumerate(requests, start=1):
        with replacing_secret(folder / f"{stem}-{number}.json") as file:
            file.write(json.dumps(request, indent=1).encode() + b"\n")


@dataclass(frozen=True, slots=True)
class Plan:
    """How the network runs."""

    folder: Path
    host: str
    port: int
    tls: ssl.SSLContext | None
    think_seconds: float
    hold_clock: bool
    script: Sequence[str]
    record: IO[str] | None


@phones.command()
def run(
    folder: Folder = DEFAULT_FOLDER,
    host: Annotated[str, typer.Option(help="Where the SMSC listens.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Its port; 0 takes a free one.")] = (
        2775
    ),
    certificate: Annotated[
        Path | None, typer.Option(help="PEM of a certificate and its key: the SMSC speaks TLS.")
    ] = None,
    think: Annotated[
        float, typer.Option(min=0, help="Seconds that a person takes to answer.")
    ] = 0.0,
    hold_clock: Annotated[
        bool, typer.Option("--hold-clock", help="Time stands still but for clock advance.")
    ] = False,
    script: Annotated[
        Path | None, typer.Option(help="Commands to run; then the network ends.")
    ] = None,
    record: Annotated[
        Path | None, typer.Option(help="File for the network's record of all messages.")
    ] = None,
) -> None:
    """Run the network until quit, Ctrl-C or SIGTERM. Commands are read from standard input: help
    lists them.

    Standard output says "SMSC on HOST:PORT" first. The state of all cards is written back at the
    end. A script that is refused a command, or waits for a screen in vain, ends with 1.
    """
    with ExitStack() as files:
        log = None
        if record is not None:
            descriptor = os.open(record, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            log = files.enter_context(os.fdopen(descriptor, "a", encoding="utf-8"))
        plan = Plan(
            folder=folder,
            host=host,
            port=port,
            tls=_server_tls(certificate),
            think_seconds=think,
            hold_clock=hold_clock,
            script=script.read_text(encoding="utf-8").splitlines() if script else (),
            record=log,
        )
        asyncio.run(_run(plan))


def _server_tls(certificate: Path | None) -> ssl.SSLContext | None:
    if certificate is None:
        return None
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(certificate)
    except ssl.SSLError:
        raise Failure(f"{certificate}: not a certificate with its key") from None
    return context


async def _run(plan: Plan) -> None:
    from phones.clock import NetworkClock
    from phones.console import Console
    from phones.network import Network
    from phones.record import Record
    from phones.smsc.server import Account, Smsc
    from phones.subscribers import write_subscribers
    from services.runtime.clock import system_clock
    from services.runtime.secret_files import replacing_secret

    subscribers = _load(plan.folder)
    clock = NetworkClock(system_clock, held=plan.hold_clock)
    record = Record(clock, plan.record)
    network = Network(subscribers, clock, record, think_seconds=plan.think_seconds)
    smsc = Smsc(network, clock, record, Account(SYSTEM_ID, _password(plan.folder)))
    console = Console(network, smsc, say, secrets.token_bytes)
    port = await smsc.start(plan.host, plan.port, plan.tls)
    try:
        say(f"SMSC on {plan.host}:{port}")
        await _until_told(console, plan.script)
    finally:
        await smsc.stop()
        with replacing_secret(plan.folder / SUBSCRIBERS) as file:
            file.write(write_subscribers(subscribers))


async def _until_told(console: Console, lines: Sequence[str]) -> None:
    """Run the script to its end, or what is typed until quit, or until a signal comes."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    told = asyncio.ensure_future(stop.wait())
    work = asyncio.ensure_future(_script(console, lines) if lines else _typed(console, stop))
    try:
        await asyncio.wait((work, told), return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            work.result()
    finally:
        work.cancel()
        told.cancel()


async def _script(console: Console, lines: Sequence[str]) -> None:
    """Run a script's lines. Raises Failure, with the line's number, if one is refused."""
    from phones.console import CommandRefused, Quit

    for number, line in enumerate(lines, start=1):
        try:
            await console.run(line)
        except Quit:
            return
        except CommandRefused as error:
            raise Failure(f"line {number} of the script: {error}", CHECK_FAILED) from None


async def _typed(console: Console, stop: asyncio.Event) -> None:
    """Run what comes from standard input until quit; at its end, wait for a signal."""
    from phones.console import CommandRefused, Quit

    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    threading.Thread(target=_read_input, args=(loop, reader), daemon=True).start()
    while line := await reader.readline():
        try:
            await console.run(line.decode("utf-8", "replace"))
        except Quit:
            return
        except CommandRefused as error:
            say(error, to=sys.stderr)
    await stop.wait()


def _read_input(loop: asyncio.AbstractEventLoop, reader: asyncio.StreamReader) -> None:
    """Feed standard input to a reader, whatever it is: terminal, pipe, file or /dev/null.

    A thread, because the loop can wait for a terminal only by making it non-blocking for this
    program's output and for the shell too. It reads the descriptor itself, since a thread that
    holds a buffered reader's lock stops the interpreter from ending.
    """
    with suppress(RuntimeError):  # the loop is closed: the network has ended
        while data := os.read(sys.stdin.fileno(), INPUT_BYTES):
            loop.call_soon_threadsafe(reader.feed_data, data)
        loop.call_soon_threadsafe(reader.feed_eof)
