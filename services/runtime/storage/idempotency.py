"""request_id (AIP-155): the same request twice has one effect and one answer.

A service keeps, in the transaction that does the work, the request's hash and
its answer under (method, whose, request_id). A repeat gets the kept answer; a
repeat with another body is ALREADY_EXISTS. Whose it is - the caller's
organization or person - is part of the key, so that nobody can read another's
answer by guessing an id.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TypeVar

from google.protobuf.message import Message
from sqlalchemy import Column, Index, LargeBinary, MetaData, String, Table, delete, insert, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from services.runtime.clock import Clock
from services.runtime.errors import AlreadyExists, InvalidArgument
from services.runtime.storage.database import Database, UtcDateTime

M = TypeVar("M", bound=Message)

# As AIP-155 suggests; the registry keeps its own for ever.
KEPT_FOR = timedelta(days=1)


def requests_table(metadata: MetaData) -> Table:
    """The table of kept answers, in the service's own schema."""
    table = Table(
        "requests",
        metadata,
        Column("method", String(64), primary_key=True),
        Column("scope", String(80), primary_key=True),
        Column("request_id", String(36), primary_key=True),
        Column("request_sha256", LargeBinary(32), nullable=False),
        Column("response", LargeBinary, nullable=False),
        Column("create_time", UtcDateTime, nullable=False),
    )
    Index("requests_by_time", table.c.create_time)
    return table


def check_request_id(value: str, field: str = "request_id") -> str:
    """The id in canonical form, or "" if there is none. Raises InvalidArgument if it is no UUID."""
    if not value:
        return ""
    try:
        parsed = uuid.UUID(value)
    except ValueError:
        raise InvalidArgument(field, "not a UUID") from None
    if str(parsed) != value.lower():
        raise InvalidArgument(field, "not a UUID in its usual form")
    return str(parsed)


def fingerprint(request: Message) -> bytes:
    """SHA-256 of what was asked for, the request_id itself left out."""
    copy = type(request)()
    copy.CopyFrom(request)
    copy.ClearField("request_id")
    return hashlib.sha256(copy.SerializeToString(deterministic=True)).digest()


class IdempotencyStore:
    """The kept answers of one service."""

    def __init__(self, table: Table, database: Database, clock: Clock) -> None:
        self._table = table
        self._database = database
        self._clock = clock

    async def run_once(
        self,
        work: Callable[[AsyncConnection], Awaitable[M]],
        *,
        request: Message,
        scope: str,
        response_type: type[M],
    ) -> M:
        """What work answered, now or at the first request with this request_id.

        work runs in one transaction with the keeping of its answer, and may be run again
        (Database.run). Raises AlreadyExists where the id was used for another body.
        """
        request_id = check_request_id(getattr(request, "request_id", ""))
        if not request_id:
            return await self._database.run(work)
        method, asked = request.DESCRIPTOR.name, fingerprint(request)
        key = {"method": method, "scope": scope, "request_id": request_id}

        async def find_or_work(connection: AsyncConnection) -> M:
            kept = await self.find(connection, **key, request_sha256=asked)
            if kept is not None:
                return response_type.FromString(kept)
            response = await work(connection)
            await connection.execute(
                insert(self._table).values(
                    **key,
                    request_sha256=asked,
                    response=response.SerializeToString(),
                    create_time=self._clock(),
                )
            )
            return response

        try:
            return await self._database.run(find_or_work)
        except (IntegrityError, AlreadyExists):
            # The same request, sent twice at once: the other one was first.
            async with self._database.reading() as connection:
                kept = await self.find(connection, **key, request_sha256=asked)
            if kept is None:
                raise
            return response_type.FromString(kept)

    async def find(
        self,
        connection: AsyncConnection,
        *,
        method: str,
        scope: str,
        request_id: str,
        request_sha256: bytes,
    ) -> bytes | None:
        """The answer to the first request with this id, or None. Raises AlreadyExists where
        the first one asked for something else."""
        table = self._table
        row = (
            await connection.execute(
                select(table.c.request_sha256, table.c.response).where(
                    table.c.method == method,
                    table.c.scope == scope,
                    table.c.request_id == request_id,
                )
            )
        ).one_or_none()
        if row is None:
            return None
        if bytes(row.request_sha256) != request_sha256:
            raise AlreadyExists("this request_id was used for another request", "request_id")
        return bytes(row.response)

    async def purge_expired(self) -> None:
        """Deletes the answers that were kept long enough."""
        before = self._clock() - KEPT_FOR
        async with self._database.transaction() as connection:
            await connection.execute(delete(self._table).where(self._table.c.create_time < before))
