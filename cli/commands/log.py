"""`qagazsyz log`: monitor transparency logs from outside, and report a fork."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.errors import CHECK_FAILED, UNREACHABLE, Failure
from cli.monitoring.followed import Followed, NotReached, Refused
from cli.options import DEFAULT_GATEWAY, Gateway
from cli.terminal import say
from cli.verifier_keys import read_key, read_keys
from qagazsyz import notes

if TYPE_CHECKING:
    from cli.monitoring.gateway_view import GatewayView
    from cli.monitoring.watch import Watch

log = typer.Typer(help="The transparency log.", no_args_is_help=True)

# A suspicion is decided by a second look, which comes this soon at the latest.
SECOND_LOOK_SECONDS = 1.0
DEFAULT_ALARM_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class Listed:
    """One log to follow. key: None if the log's own word is taken for it the first time."""

    key: notes.VerifierKey | None
    addresses: Sequence[str]
    state: Path


@log.command()
def follow(
    state: Annotated[
        Path,
        typer.Option(help="File that keeps the newest accepted checkpoint; a folder with --logs."),
    ],
    key: Annotated[
        Path | None,
        typer.Option(help="File of the log's verifier key; fetched the first time if not given."),
    ] = None,
    every: Annotated[float, typer.Option(min=0.1, help="Seconds between two checks.")] = 10.0,
    once: Annotated[bool, typer.Option(help="Check once and end.")] = False,
    gateway: Gateway = DEFAULT_GATEWAY,
    also: Annotated[
        list[str] | None,
        typer.Option(help="Another address of the same log, to compare; repeatable."),
    ] = None,
    logs: Annotated[
        Path | None,
        typer.Option(help="Follow several logs: a line each, its verifier key and its addresses."),
    ] = None,
    witnesses: Annotated[
        Path | None,
        typer.Option(help="Verifier keys of witnesses, a line each: compare what they cosigned."),
    ] = None,
    alarm_after: Annotated[
        float, typer.Option(min=1.0, help="Seconds without anything proved that are an alarm.")
    ] = DEFAULT_ALARM_SECONDS,
    metrics: Annotated[
        str,
        typer.Option(help="Run as a service, and serve Prometheus metrics at this HOST:PORT."),
    ] = "",
) -> None:
    """Check that each new checkpoint extends the last; on a fork, keep evidence and exit with 1.

    Evidence is a checkpoint that does not extend the last one, a smaller tree or a refused proof
    seen twice. With --metrics an alarm is kept and served, and the other logs are followed on.
    """
    from cli.monitoring.metrics import serving_metrics

    if logs is None:
        given = read_key(key) if key else None
        listed = [Listed(given, [gateway, *(also or ())], state)]
    else:
        state.mkdir(parents=True, exist_ok=True)
        listed = _read_logs(logs, state)
    known = read_keys(witnesses) if witnesses else []
    with _watching(listed, known, alarm_after) as watches:
        seen = {watch.origin: watch.seen for watch in watches}
        with serving_metrics(metrics, seen) if metrics else nullcontext("") as url:
            if url:
                say(f"metrics at {url}")
            _follow(watches, every=every, once=once, ends_with_alarm=not metrics)


def _follow(watches: Sequence[Watch], *, every: float, once: bool, ends_with_alarm: bool) -> None:
    """Look at all logs, round by round. Raises Failure: an alarm, or, once, an unreachable log."""
    from concurrent.futures import ThreadPoolExecutor

    alarms: dict[str, str] = {}
    with ThreadPoolExecutor(len(watches)) as threads:
        while True:
            followed = [watch for watch in watches if watch.origin not in alarms]
            not_reached = sum(watch.seen.not_reached for watch in followed)
            for watch, (lines, alarm) in zip(followed, threads.map(_look, followed), strict=True):
                for line in lines:
                    say(line)
                if alarm:
                    alarms[watch.origin] = alarm
                    say(f"qagazsyz: ALARM: {alarm}", to=sys.stderr)
            if alarms and (ends_with_alarm or once):
                raise Failure("; ".join(alarms.values()), CHECK_FAILED)
            is_suspicious = any(watch.is_suspicious for watch in followed)
            if once and sum(watch.seen.not_reached for watch in followed) > not_reached:
                raise Failure("not every log was reached", UNREACHABLE)
            if once and not is_suspicious:
                return
            time.sleep(min(every, SECOND_LOOK_SECONDS) if is_suspicious else every)


def _look(watch: Watch) -> tuple[list[str], str]:
    """Return the lines of a round, and the alarm, "" if there is none."""
    from cli.monitoring.watch import Alarm

    try:
        return watch.look(), ""
    except Alarm as alarm:
        return [], str(alarm)


@contextmanager
def _watching(
    listed: Sequence[Listed], witnesses: Sequence[notes.VerifierKey], alarm_after: float
) -> Iterator[list[Watch]]:
    """Open channels to all addresses, and yield a watch of each log. Raises Failure."""
    from cli.connection import anonymous
    from cli.monitoring.gateway_view import GatewayView
    from cli.monitoring.watch import Watch

    with ExitStack() as open_channels:
        watches: list[Watch] = []
        for one in listed:
            views = [
                GatewayView(address, open_channels.enter_context(anonymous(address)))
                for address in one.addresses
            ]
            watches.append(
                Watch(
                    one.state,
                    _begin(one, views[0]),
                    views,
                    witnesses=witnesses,
                    alarm_after=alarm_after,
                    clock=time.time,
                )
            )
        yield watches


def _begin(listed: Listed, view: GatewayView) -> Followed:
    if listed.state.exists():
        followed = Followed.load(listed.state)
        if listed.key is not None and listed.key != followed.key:
            raise Failure(f"{listed.state} follows another key")
        return followed
    if listed.key is not None:
        return Followed(listed.key, b"")
    try:
        return Followed(notes.VerifierKey.parse(view.key()), b"")
    except notes.NoteError as error:
        raise Failure(f"no verifier key: {error}") from None
    except Refused as error:
        raise Failure(f"no verifier key: {error}") from None
    except NotReached as error:
        raise Failure(f"no verifier key: {error}", UNREACHABLE) from None


def _read_logs(path: Path, states: Path) -> list[Listed]:
    """Read a list of logs: a line each, key and addresses by space; "#" begins a comment."""
    listed: dict[str, Listed] = {}
    for number, line in enumerate(path.read_text().splitlines(), 1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        try:
            key = notes.VerifierKey.parse(words[0])
        except notes.NoteError as error:
            raise Failure(f"{path}, line {number}: {error}") from None
        if len(words) < 2 or key.name in listed:
            raise Failure(f"{path}, line {number}: a log has a key and an address, and one line")
        name = f"{re.sub('[^A-Za-z0-9.-]', '_', key.name)}-{key.id.hex()}"
        listed[key.name] = Listed(key, words[1:], states / name)
    if not listed:
        raise Failure(f"{path}: lists no log")
    return list(listed.values())
