"""Run the demo on a suite of its own: with progress meanwhile, and a table at the end."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.errors import CHECK_FAILED, Failure
from cli.operations.data_folder import DataFolder

if TYPE_CHECKING:
    from rich.console import Console

    from demo.mobile_network import MobileNetwork
    from demo.steps import Done
    from testing.suite_process import RunningSuite


# The index of the step whose trace goes through all services.
LOOK_UP = 4


def demo(
    workers: Annotated[int, typer.Option(min=1, help="Processes of the signing service.")] = 1,
) -> None:
    """Do the suite's main job on made-up people, and check every result; leave nothing running."""
    from cli.output import console as standard_output

    console = standard_output()
    with _folder() as folder:
        done = asyncio.run(_start_and_run(folder, workers, console))
        traces = _keep_traces(folder)
    # As it was called, because it need not be on the PATH.
    tool = sys.argv[0] if Path(sys.argv[0]).name == "qagazsyz" else "qagazsyz"
    console.print(
        "\nThe trace of any step, here of the look-up; the others stand in the table:\n"
        f"  {tool} traces --data {traces} {done[LOOK_UP].trace_id[:8]}",
        soft_wrap=True,
    )


@contextmanager
def _folder() -> Iterator[Path]:
    """Make a temporary folder, removed at the end of the block."""
    folder = Path(tempfile.mkdtemp(prefix="qagazsyz-demo-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _keep_traces(folder: Path) -> Path:
    """Move the traces, and nothing else, over those of the last demo; return their folder."""
    kept = Path(tempfile.gettempdir()) / f"qagazsyz-demo-{os.getuid()}"
    shutil.rmtree(kept, ignore_errors=True)
    kept.mkdir(mode=0o700)
    DataFolder(folder / "data").traces.rename(DataFolder(kept).traces)
    return kept


async def _start_and_run(folder: Path, workers: int, console: Console) -> list[Done]:
    """Start a mobile network and a suite, run the steps, and print the table."""
    from demo.mobile_network import running_network
    from demo.phone_steps import PHONES

    began = time.monotonic()
    console.print("Starting five services, the gateway, and a mobile network beside them…")
    async with (
        running_network(folder / "phones", PHONES) as network,
        running_suite_on(folder / "data", workers, network) as suite,
    ):
        started = time.monotonic() - began
        console.print(f"Ready at http://{suite.gateway} after {started:.1f} s")
        done, per_second = await _run(suite, folder, network, console)
        _print_table(console, started, done, per_second, time.monotonic() - began)
    return done


@asynccontextmanager
async def running_suite_on(
    data: Path, workers: int, network: MobileNetwork
) -> AsyncIterator[RunningSuite]:
    """Run a suite on the network during the block. It starts and stops in a thread, because the
    network has to answer meanwhile."""
    from testing.suite_process import running_suite

    running = running_suite(data, "--workers", str(workers), environment=network.settings)
    with ExitStack() as stack:
        yield await asyncio.to_thread(stack.enter_context, running)
        await asyncio.to_thread(stack.close)


async def _run(
    suite: RunningSuite, folder: Path, network: MobileNetwork, console: Console
) -> tuple[list[Done], float]:
    import grpc
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    from demo.phone_steps import PhoneSteps
    from demo.steps import Demo, Mismatch
    from qagazsyz.phone import PhoneRefused

    columns = (TextColumn("{task.description:28}"), BarColumn(), TimeElapsedColumn())
    done = []
    with Progress(*columns, console=console) as progress:
        demo = Demo(
            suite, folder, lambda at, total: progress.update(task, completed=at, total=total)
        )
        try:
            phones = PhoneSteps(demo, network, lambda *shown: _show_screens(console, *shown))
            for title, step in (*demo.steps(), *phones.steps()):
                task = progress.add_task(title, total=None)
                one = await demo.run(title, step)
                done.append(one)
                progress.update(task, completed=1, total=1)
                console.print(f"  [green]✓[/green] {one.what}")
        except (Mismatch, PhoneRefused) as error:
            raise Failure(f"{title}: {error}", CHECK_FAILED) from None
        except grpc.aio.AioRpcError as error:
            message = f"{title}: {error.code().name}: {error.details()}"
            raise Failure(message, CHECK_FAILED) from None
        finally:
            await demo.close()
    return done, demo.per_second


def _show_screens(console: Console, caption: str, screens: Sequence[str]) -> None:
    """Print a phone's screens side by side."""
    from rich.columns import Columns
    from rich.padding import Padding
    from rich.text import Text

    console.print(f"    {caption}")
    console.print(Padding(Columns([Text(screen) for screen in screens]), (0, 0, 0, 4)))


def _print_table(
    console: Console, started: float, done: list[Done], per_second: float, total: float
) -> None:
    from rich.table import Table

    table = Table(title="What was done", title_justify="left")
    table.add_column("step")
    table.add_column("result", overflow="fold")
    table.add_column("seconds", justify="right")
    table.add_column("trace")
    table.add_row("Start", "five services, the gateway, a network", f"{started:.1f}", "")
    for one in done:
        table.add_row(one.title, one.what, f"{one.seconds:.1f}", one.trace_id[:8])
    table.add_row("Total", "every result exactly as it should be", f"{total:.1f}", "")
    console.print(table)
    console.print(f"Verifications per second, in one call through the gateway: {per_second:,.0f}")
