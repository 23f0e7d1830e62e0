"""Health for the whole suite: the registry's empty name answers for itself and for those it calls.

The services that the registry has of its own answer under their own names, so
that whoever asks for one learns of that one alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1._async import HealthServicer

# A caller learns of an outage within about this time.
CHECK_EVERY_SECONDS = 1.0
CHECK_TIMEOUT_SECONDS = 2.0
# A neighbour that is busy, or restarted at once, may miss one.
FAILURES_TO_BE_DOWN = 2

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


async def follow_neighbours(
    health: HealthServicer,
    neighbours: Sequence[grpc.aio.Channel],
    own: Iterable[str],
    *,
    every: float = CHECK_EVERY_SECONDS,
) -> None:
    """Sets the empty name's health by the neighbours', until it is cancelled."""
    for name in own:
        await health.set(name, SERVING)
    failures = 0
    while True:
        found = await asyncio.gather(*(_is_serving(neighbour) for neighbour in neighbours))
        failures = 0 if all(found) else failures + 1
        await health.set("", NOT_SERVING if failures >= FAILURES_TO_BE_DOWN else SERVING)
        await asyncio.sleep(every)


async def _is_serving(neighbour: grpc.aio.Channel) -> bool:
    try:
        answer = await health_pb2_grpc.HealthStub(neighbour).Check(
            health_pb2.HealthCheckRequest(), timeout=CHECK_TIMEOUT_SECONDS
        )
    except grpc.aio.AioRpcError:
        return False
    return bool(answer.status == SERVING)
