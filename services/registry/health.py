"""Health of the whole suite: the empty name answers for the registry and the services it calls.

The registry's own services also answer under their own names, for themselves alone.
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
# A service that is busy or restarting may miss one check.
FAILURES_TO_BE_DOWN = 2

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


async def follow_dependencies(
    health: HealthServicer,
    dependencies: Sequence[grpc.aio.Channel],
    own: Iterable[str],
    *,
    every: float = CHECK_EVERY_SECONDS,
) -> None:
    """Set the empty name's health by the services that the registry calls, until cancelled.

    own: the names of the registry's own services.
    """
    for name in own:
        await health.set(name, SERVING)
    failures = 0
    while True:
        found = await asyncio.gather(*(_is_serving(dependency) for dependency in dependencies))
        failures = 0 if all(found) else failures + 1
        await health.set("", NOT_SERVING if failures >= FAILURES_TO_BE_DOWN else SERVING)
        await asyncio.sleep(every)


async def _is_serving(dependency: grpc.aio.Channel) -> bool:
    try:
        answer = await health_pb2_grpc.HealthStub(dependency).Check(
            health_pb2.HealthCheckRequest(), timeout=CHECK_TIMEOUT_SECONDS
        )
    except grpc.aio.AioRpcError:
        return False
    return bool(answer.status == SERVING)
