"""The supervisor restarts what ends, stops in reverse order, and leaves no process behind."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

import pytest

from cli.operations.supervisor import Program, Supervisor

DEADLINE_SECONDS = 10.0


async def eventually(condition: Callable[[], object]) -> None:
    """Wait until the condition holds; fail after a generous time."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        while not condition():  # noqa: ASYNC110 - a process outside has no event
            await asyncio.sleep(0.005)


def python(name: str, code: str, **environment: str) -> Program:
    return Program(name, [sys.executable, "-c", code], {**os.environ, **environment})


WAIT = "import signal; signal.sigwait([signal.SIGTERM])"


class Observed:
    """A supervisor, what it reported, and its processes."""

    def __init__(self, *programs: Program) -> None:
        self.reported: list[str] = []
        self.process_ids: Mapping[str, int] = {}
        self.supervisor = Supervisor(programs, report=self.reported.append, changed=self._changed)

    def _changed(self, process_ids: Mapping[str, int]) -> None:
        self.process_ids = process_ids


@pytest.fixture
async def observe() -> AsyncIterator[Callable[..., Observed]]:
    made: list[Observed] = []

    def make(*programs: Program) -> Observed:
        made.append(Observed(*programs))
        return made[-1]

    yield make
    for one in made:
        await one.supervisor.stop()


async def test_a_process_that_is_killed_is_started_again(
    observe: Callable[..., Observed],
) -> None:
    observed = observe(python("one", WAIT))
    await observed.supervisor.start()
    first = observed.process_ids["one"]
    os.kill(first, signal.SIGKILL)
    await eventually(lambda: observed.process_ids.get("one", first) != first)
    assert any("one ended with -9" in line for line in observed.reported)


async def test_pauses_grow_while_a_process_dies_at_once(observe: Callable[..., Observed]) -> None:
    observed = observe(python("one", "raise SystemExit(3)"))
    await observed.supervisor.start()
    await eventually(lambda: len(observed.reported) >= 3)
    assert "restarting in 0.1 s" in observed.reported[0]
    assert "restarting in 0.4 s" in observed.reported[2]


async def test_the_last_started_is_stopped_first(
    observe: Callable[..., Observed], tmp_path: Path
) -> None:
    record = tmp_path / "ends"
    code = (
        "import os, signal\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])\n"
        "open(os.environ['MARK'] + os.environ['NAME'], 'w').close()\n"
        "signal.sigwait([signal.SIGTERM])\n"
        "open(os.environ['MARK'], 'a').write(os.environ['NAME'] + ' ')\n"
    )
    names = ("first", "second", "third")
    observed = observe(*(python(n, code, MARK=str(record), NAME=n) for n in names))
    await observed.supervisor.start()
    await eventually(lambda: all((tmp_path / f"ends{name}").exists() for name in names))
    await observed.supervisor.stop()
    assert record.read_text() == "third second first "


async def test_the_children_of_a_killed_process_are_killed(
    observe: Callable[..., Observed], tmp_path: Path
) -> None:
    record = tmp_path / "grandchild"
    code = (
        "import os, subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import signal; signal.pause()'])\n"
        "open(os.environ['MARK'], 'a').write(f'{child.pid}\\n')\n"
        "child.wait()\n"
    )
    observed = observe(python("one", code, MARK=str(record)))
    await observed.supervisor.start()
    await eventually(lambda: record.exists() and record.read_text().endswith("\n"))
    grandchild = int(record.read_text().split()[0])
    os.kill(observed.process_ids["one"], signal.SIGKILL)
    await eventually(lambda: not _runs(grandchild))


async def test_children_end_when_the_supervisor_is_killed(tmp_path: Path) -> None:
    record = tmp_path / "child"
    child = (
        "import os, signal\n"
        "from cli.operations.supervisor import watch_parent\n"
        "watch_parent(lambda: os.kill(os.getpid(), signal.SIGTERM))\n"
        f"open({str(record)!r}, 'w').write(f'{{os.getpid()}}\\n')\n"
        "signal.pause()\n"
    )
    code = (
        "import asyncio, os, sys\n"
        "from cli.operations.supervisor import Program, Supervisor\n"
        f"program = Program('one', [sys.executable, '-c', {child!r}], os.environ)\n"
        "async def main():\n"
        "    await Supervisor([program], report=print, changed=lambda _: None).start()\n"
        "    await asyncio.Event().wait()\n"
        "asyncio.run(main())\n"
    )
    supervisor = await asyncio.create_subprocess_exec(sys.executable, "-c", code)
    try:
        await eventually(lambda: record.exists() and record.read_text().endswith("\n"))
    finally:
        # The child ends with it even if the test has failed so far.
        supervisor.kill()
        await supervisor.wait()
    pid = int(record.read_text())
    await eventually(lambda: not _runs(pid))


def _runs(pid: int) -> bool:
    """Return whether the process exists and is not a zombie."""
    try:
        os.kill(pid, 0)
        status = Path(f"/proc/{pid}/status").read_text()
    except ProcessLookupError:
        return False
    except FileNotFoundError:  # it ended in between, or the system has no /proc
        return not Path("/proc/self").exists()
    return "State:\tZ" not in status
