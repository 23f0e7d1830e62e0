"""Health of messaging: the empty name answers for the process, the service's for the SMSC too.

A message is taken and kept while the SMSC is away, so the process serves without it; who wants to
know whether messages go out asks for the service by its name.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from grpc_health.v1 import health_pb2
from grpc_health.v1._async import HealthServicer

# An operator learns of an outage within about this time.
CHECK_EVERY_SECONDS = 1.0

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


async def follow_link(
    health: HealthServicer,
    is_connected: Callable[[], bool],
    name: str,
    *,
    every: float = CHECK_EVERY_SECONDS,
) -> None:
    """Set the health of `name` by the connection to the SMSC, until cancelled."""
    while True:
        await health.set(name, SERVING if is_connected() else NOT_SERVING)
        await asyncio.sleep(every)
