"""Send calls as fast as they are answered, and measure what they cost each process."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import grpc

from benchmarks import processes


@dataclass(frozen=True, slots=True)
class Measured:
    """Items done in seconds of wall time; CPU seconds by process; latencies in seconds."""

    items: int
    seconds: float
    cpu: Mapping[str, float]
    latencies: Sequence[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Items per second."""
        return self.items / self.seconds

    def microseconds(self, *names: str) -> float:
        """Return the CPU time per item of these processes."""
        return sum(self.cpu.get(name, 0.0) for name in names) / self.items * 1e6

    def percentile(self, share: float) -> float:
        """Return the latency in milliseconds that this share of the calls does not exceed."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1e3


async def run(
    channels: Sequence[grpc.aio.Channel],
    method: str,
    requests: Sequence[bytes],
    *,
    items_per_request: int,
    token: str,
    concurrency: int,
    seconds: float,
    watched: Mapping[str, int],
) -> Measured:
    """Send the requests in turn, from `concurrency` callers, for about so many seconds.

    watched: process ids by name, whose CPU time is measured; "client" is this process.
    """
    # Warm caches and connections before the clock starts.
    metadata = (("authorization", f"Bearer {token}"),)
    for channel in channels:
        warm: Any = channel.unary_unary(method)
        await warm(requests[0], metadata=metadata)
    end = time.perf_counter() + seconds

    def turns() -> Iterator[bytes]:
        for request in itertools.cycle(requests):
            if time.perf_counter() >= end:
                return
            yield request

    return await _send(
        channels,
        method,
        turns(),
        items_per_request=items_per_request,
        token=token,
        concurrency=concurrency,
        watched=watched,
    )


async def once(
    channels: Sequence[grpc.aio.Channel],
    method: str,
    requests: Sequence[bytes],
    *,
    token: str,
    concurrency: int,
    watched: Mapping[str, int],
    check: Callable[[bytes], None],
) -> Measured:
    """Send each request once; check raises if a response is not as expected."""
    return await _send(
        channels,
        method,
        iter(requests),
        items_per_request=1,
        token=token,
        concurrency=concurrency,
        watched=watched,
        check=check,
    )


async def _send(
    channels: Sequence[grpc.aio.Channel],
    method: str,
    requests: Iterator[bytes],
    *,
    items_per_request: int,
    token: str,
    concurrency: int,
    watched: Mapping[str, int],
    check: Callable[[bytes], None] | None = None,
) -> Measured:
    calls: list[Any] = [channel.unary_unary(method) for channel in channels]
    metadata = (("authorization", f"Bearer {token}"),)
    latencies: list[float] = []

    async def caller(number: int) -> None:
        call = calls[number % len(calls)]
        for request in requests:
            began = time.perf_counter()
            answer = await call(request, metadata=metadata)
            latencies.append(time.perf_counter() - began)
            if check is not None:
                check(answer)

    before = {name: processes.usage(pid).cpu for name, pid in watched.items()}
    own, began = time.process_time(), time.perf_counter()
    await asyncio.gather(*(caller(number) for number in range(concurrency)))
    took = time.perf_counter() - began
    cpu = {name: processes.usage(pid).cpu - before[name] for name, pid in watched.items()}
    cpu["client"] = time.process_time() - own
    return Measured(len(latencies) * items_per_request, took, cpu, latencies)
