"""Readiness of a process: its own stores answer, and so do the services that it calls.

The names of its services answer for the process alone, the empty name for the others too. A store
is asked again each second; one whose last write failed has to take a small write before the process
is ready again, because a full disk still answers readers.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1._async import HealthServicer

log = logging.getLogger(__name__)

# A caller learns of an outage within about this time.
CHECK_EVERY_SECONDS = 1.0
DEPENDENCY_TIMEOUT_SECONDS = 2.0
# Longer than a busy disk takes for a flush.
STORE_TIMEOUT_SECONDS = 5.0
# A service that is busy or restarting may miss one check.
FAILURES_TO_BE_DOWN = 2

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING

# Raises if the store cannot be used: Database.check, ObjectStore.check.
Check = Callable[[], Awaitable[None]]


async def follow_readiness(
    health: HealthServicer,
    *,
    stores: Sequence[Check],
    names: Iterable[str] = (),
    dependencies: Sequence[grpc.aio.Channel] = (),
    every: float = CHECK_EVERY_SECONDS,
    store_timeout: float = STORE_TIMEOUT_SECONDS,
) -> None:
    """Set the health of `names` by the stores, and the empty name's by the dependencies too, until
    cancelled."""
    names = tuple(names)
    own_failures = failures = 0
    was_ready = True
    while True:
        found = await asyncio.gather(
            *(_is_well(store, store_timeout) for store in stores),
            *(_is_serving(dependency) for dependency in dependencies),
        )
        own_failures = 0 if all(found[: len(stores)]) else own_failures + 1
        failures = 0 if all(found) else failures + 1
        for name in names:
            await health.set(name, _health(own_failures))
        await health.set("", _health(failures))
        is_ready = own_failures < FAILURES_TO_BE_DOWN
        if is_ready != was_ready:
            was_ready = is_ready
            log.warning("the stores can be used again" if is_ready else "a store cannot be used")
        await asyncio.sleep(every)


def _health(failures: int) -> health_pb2.HealthCheckResponse.ServingStatus:
    return NOT_SERVING if failures >= FAILURES_TO_BE_DOWN else SERVING


async def _is_well(store: Check, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await store()
    except Exception as error:
        log.info("a store does not answer: %s", type(error).__name__)
        return False
    return True


async def _is_serving(dependency: grpc.aio.Channel) -> bool:
    try:
        answer = await health_pb2_grpc.HealthStub(dependency).Check(
            health_pb2.HealthCheckRequest(), timeout=DEPENDENCY_TIMEOUT_SECONDS
        )
    except grpc.aio.AioRpcError:
        return False
    return bool(answer.status == SERVING)
