"""A messaging service in a process of its own, which kills itself at a named step; it tells what
its callers were told."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from multiprocessing.connection import Connection

from qagazsyz.messaging.v1 import messages_pb2
from services.runtime.clock import system_clock, to_timestamp
from services.runtime.concurrency.housekeeping import in_background
from services.runtime.storage.database import Database
from tests.smsc import Smsc
from tests.unit.messaging.builders import Service, Stream, linked, make_service

# Every step at which the service is killed, with what a caller sees of it.
STEPS = (
    "accepted",  # a message is stored, its sender not told
    "marked",
    "handed over",
    "submitted",
    "answered",
    "recorded",
    "received",
    "stored",
    "acknowledged",
    "leased",
    "acknowledged by a reader",
)


@dataclass(frozen=True)
class Run:
    """What one process does."""

    url: str
    port: int
    # Texts that it sends.
    texts: tuple[str, ...]
    # Killed when it comes to the step for so many times; "" never.
    step: str = ""
    times: int = 1
    # How far its clock is ahead.
    ahead: timedelta = timedelta(0)


async def send(service: Service, run: Run, step: object, told: Connection) -> None:
    for text in run.texts:
        message = await service.send(
            text=text,
            phone=f"+7701000000{len(text) % 10}",
            # Many kills take longer than messages wait by default.
            expire_time=to_timestamp(system_clock() + timedelta(days=1)),
        )
        assert callable(step)
        step("accepted")
        told.send(("sent", message.name, text))


async def read(service: Service, told: Connection) -> None:
    stream = Stream(service, messages_pb2.INBOX_TEXT, "requests")
    while True:
        message = await stream.next_forever()
        told.send(("read", message.id, message.text))
        stream.acknowledge(message.id)


async def serve(run: Run, told: Connection) -> None:
    hits: Counter[str] = Counter()

    def step(name: str) -> None:
        hits[name] += 1
        if name == run.step and hits[name] >= run.times:
            os.kill(os.getpid(), signal.SIGKILL)

    database = Database(run.url)
    service = make_service(
        database,
        clock=lambda: system_clock() + run.ahead,
        step=step,
        own_messages_a_day=1_000_000,
    )
    async with (
        linked(service, Smsc(port=run.port), step=step),
        in_background(read(service, told)),
    ):
        await send(service, run, step, told)
        await asyncio.Event().wait()


def main(run: Run, told: Connection) -> None:
    """Run until it is killed."""
    asyncio.run(serve(run, told))
