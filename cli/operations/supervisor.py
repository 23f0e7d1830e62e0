"""Supervise processes: start them in order, restart those that end, stop them in reverse order.

Each child is a process group of its own, so that Ctrl-C in a terminal reaches the supervisor alone,
which then stops them in order. Each child has the reading end of a pipe whose writing end only the
supervisor has: if the supervisor is killed, the pipe closes and the children end themselves
(watch_parent).
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

# The variable that tells a child the file descriptor of the pipe's reading end.
PARENT_PIPE = "QAGAZSYZ_PARENT_PIPE"
FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 5.0
# After a run of this length the next pause is short again.
STEADY_SECONDS = 20.0
# Services drain for ten seconds at most; a process that runs longer is killed.
STOP_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Program:
    """One process to keep running."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]


@dataclass(slots=True)
class _Child:
    program: Program
    process: asyncio.subprocess.Process | None = None
    keeper: asyncio.Task[None] | None = None


class Supervisor:
    """Keeps programs running until it is stopped."""

    def __init__(
        self,
        programs: Sequence[Program],
        *,
        report: Callable[[str], None],
        changed: Callable[[Mapping[str, int]], None],
    ) -> None:
        """report: called with a line whenever something goes wrong. changed: called with the ids of
        all running processes, by program, whenever one was started."""
        self._children = [_Child(program) for program in programs]
        self._report = report
        self._changed = changed
        self._stopping = False
        self._read_end, self._write_end = os.pipe()

    async def start(self) -> None:
        """Start the programs in order, and keep them running from now on."""
        for child in self._children:
            await self._spawn(child)
            child.keeper = asyncio.create_task(self._keep(child), name=child.program.name)

    async def stop(self) -> None:
        """Stop the programs, the last first, each with STOP_SECONDS to drain. Idempotent."""
        if self._stopping:
            return
        self._stopping = True
        for child in reversed(self._children):
            process = child.process
            if process is not None and process.returncode is None:
                _signal(process, signal.SIGTERM)
                try:
                    await asyncio.wait_for(process.wait(), STOP_SECONDS)
                except TimeoutError:
                    self._report(f"{child.program.name} did not stop, and is killed")
                    _signal_group(process, signal.SIGKILL)
                    await process.wait()
        keepers = [child.keeper for child in self._children if child.keeper is not None]
        for keeper in keepers:
            keeper.cancel()
        await asyncio.gather(*keepers, return_exceptions=True)
        os.close(self._read_end)
        os.close(self._write_end)

    def process_ids(self) -> dict[str, int]:
        """Return the ids of the running processes by their program's name."""
        return {
            child.program.name: child.process.pid
            for child in self._children
            if child.process is not None and child.process.returncode is None
        }

    async def _spawn(self, child: _Child) -> None:
        child.process = await asyncio.create_subprocess_exec(
            *child.program.command,
            env={**child.program.environment, PARENT_PIPE: str(self._read_end)},
            stdin=asyncio.subprocess.DEVNULL,
            # The supervisor's own standard output says one line, "ready".
            stdout=sys.stderr,
            pass_fds=[self._read_end],
            process_group=0,
        )
        self._changed(self.process_ids())

    async def _keep(self, child: _Child) -> None:
        pause = FIRST_PAUSE_SECONDS
        while True:
            assert child.process is not None  # noqa: S101 - start() spawned it
            began = time.monotonic()
            code = await child.process.wait()
            if self._stopping:
                return
            # Its own children must not outlive it, or keep its port.
            _signal_group(child.process, signal.SIGKILL)
            if time.monotonic() - began >= STEADY_SECONDS:
                pause = FIRST_PAUSE_SECONDS
            self._report(f"{child.program.name} ended with {code}; restarting in {pause:.1f} s")
            await asyncio.sleep(pause)
            if self._stopping:
                return
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
            await self._spawn(child)


def _signal(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    try:
        process.send_signal(number)
    except ProcessLookupError:
        return


def _signal_group(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    try:
        os.killpg(process.pid, number)
    except (ProcessLookupError, PermissionError):  # macOS says the latter of an empty group
        return


def watch_parent(end: Callable[[], None]) -> None:
    """Call end, in a thread, once the supervisor is gone; without a supervisor do nothing."""
    pipe = os.environ.pop(PARENT_PIPE, "")
    if not pipe:
        return

    def wait() -> None:
        os.read(int(pipe), 1)  # nothing is ever written: returns when the pipe closes
        end()

    threading.Thread(target=wait, name="parent", daemon=True).start()
