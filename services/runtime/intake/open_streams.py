"""Streams that are open to anyone - reflection, health's Watch - with few slots and a short life.

They cost nothing to open and need no token, so without bounds a thousand of them would hold what
others' calls need. Health's Check stands outside all bounds: whoever restarts a process by it must
not be misled by a crowd.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
from grpc_health.v1 import health_pb2
from grpc_health.v1._async import HealthServicer

from services.runtime.errors import DomainError
from services.runtime.intake.admission import Pool
from services.runtime.intake.intake import caller_key, text_metadata
from services.runtime.status import abort, status_of

# Whoever explores the contracts, or watches a process, needs one or two.
SLOTS = 16
# The tools that ask for reflection take some seconds; a watcher comes again.
LIFE_SECONDS = 30.0


class OpenStreams:
    """The slots that the open streams of a process share."""

    def __init__(self, slots: int = SLOTS, life_seconds: float = LIFE_SECONDS) -> None:
        self._pool = Pool(slots)
        self._life = life_seconds

    @asynccontextmanager
    async def hold(self, context: grpc.aio.ServicerContext[Any, Any]) -> AsyncIterator[None]:
        """Hold a slot in this block. Abort the call with RESOURCE_EXHAUSTED if there is none or
        another caller needs it, with DEADLINE_EXCEEDED at the end of its life."""
        try:
            with self._pool.enter(caller_key(None, text_metadata(context))) as slot:
                with slot.waiting() as wait:
                    wait.limit(self._life)
                    yield
                return
        except DomainError as error:
            status = status_of(error)
        await abort(context, status)


class Health(HealthServicer):  # type: ignore[misc]  # it comes without types
    """grpc.health.v1, whose Watch is one of the open streams."""

    def __init__(self, streams: OpenStreams) -> None:
        super().__init__()
        self._streams = streams

    async def Watch(
        self, request: health_pb2.HealthCheckRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> None:
        async with self._streams.hold(context):
            await super().Watch(request, context)
