"""request_id (AIP-155): the same request twice has one effect and one answer.

A service keeps, in the transaction that does the work, the request's fingerprint and its result
under (method, scope, request_id). A repeat gets the kept result; a repeat with another body is
ALREADY_EXISTS. The scope - the caller's organization or person - is part of the key, so that
guessing an id gives away no other caller's answer.

IdempotencyStore does all of this for a service that keeps its answers for a day. The registry,
which keeps its requests for ever and commits many at once, uses KeptRequests (kept_requests.py).
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Awaitable, Callable, Iterable
from datetime import timedelta
from typing import TypeVar

from google.protobuf.message import Message
from sqlalchemy import Column, Index, LargeBinary, MetaData, Table, delete, insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from services.runtime.clock import Clock
from services.runtime.errors import AlreadyExists, InvalidArgument
from services.runtime.storage.database import Database, UtcDateTime
from services.runtime.storage.kept_requests import KeptRequests, RequestKey, key_columns

M = TypeVar("M", bound=Message)

# As AIP-155 suggests.
KEPT_FOR = timedelta(days=1)


def check_request_id(value: str, field: str = "request_id") -> str:
    """Return the id in canonical form, or "" if it is empty. Raises InvalidArgument for any other
    text than a UUID."""
    if not value:
        return ""
    try:
        parsed = uuid.UUID(value)
    except ValueError:
        raise InvalidArgument(field, "not a UUID") from None
    if str(parsed) != value.lower():
        raise InvalidArgument(field, "not a UUID in its usual form")
    return str(parsed)


def read_request_key(method: str, scope: str, request_id: str) -> RequestKey | None:
    """Return the key of a request, None without a request_id. Raises InvalidArgument."""
    checked = check_request_id(request_id)
    return RequestKey(method, scope, checked) if checked else None


def fingerprint(request: Message) -> bytes:
    """Return the SHA-256 of a request without its request_id."""
    copy = type(request)()
    copy.CopyFrom(request)
    copy.ClearField("request_id")
    return hashlib.sha256(copy.SerializeToString(deterministic=True)).digest()


def fingerprint_of_parts(parts: Iterable[bytes]) -> bytes:
    """Return the SHA-256 over byte strings, each behind its length in eight bytes."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.digest()


def fingerprint_of_json(value: object) -> bytes:
    """Return the SHA-256 of a value in JSON, as the standard library writes it."""
    return hashlib.sha256(json.dumps(value).encode()).digest()


def requests_table(metadata: MetaData) -> Table:
    """Declare the table of kept answers in the service's own schema."""
    table = Table(
        "requests",
        metadata,
        *key_columns(),
        Column("request_sha256", LargeBinary(32), nullable=False),
        Column("response", LargeBinary, nullable=False),
        Column("create_time", UtcDateTime, nullable=False),
    )
    Index("requests_by_time", table.c.create_time)
    return table


class IdempotencyStore:
    """The kept answers of one service."""

    def __init__(self, table: Table, database: Database, clock: Clock) -> None:
        self._kept: KeptRequests[bytes] = KeptRequests(table, "response")
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
        """Return the answer of work, now or at the first request with this request_id.

        work runs in one transaction with the keeping of its answer, and may be run again
        (Database.run). Raises AlreadyExists where the id was used for another body.
        """
        method = request.DESCRIPTOR.name
        key = read_request_key(method, scope, getattr(request, "request_id", ""))
        if key is None:
            return await self._database.run(work)
        asked = fingerprint(request)

        async def find_or_work(connection: AsyncConnection) -> M:
            kept = await self._kept.find_result(connection, key, asked)
            if kept is not None:
                return response_type.FromString(kept)
            response = await work(connection)
            row = self._kept.row(key, asked, response.SerializeToString())
            await connection.execute(
                insert(self._kept.table).values(**row, create_time=self._clock())
            )
            return response

        try:
            return await self._database.run(find_or_work)
        except (IntegrityError, AlreadyExists):
            # The same request, sent twice at once: the other one was first.
            async with self._database.reading() as connection:
                kept = await self._kept.find_result(connection, key, asked)
            if kept is None:
                raise
            return response_type.FromString(kept)

    async def find(
        self, connection: AsyncConnection, *, request: Message, scope: str, response_type: type[M]
    ) -> M | None:
        """Return the kept answer of a request with this request_id, or None: for what should not
        be prepared again. Raises AlreadyExists where the id was used for another body."""
        key = read_request_key(request.DESCRIPTOR.name, scope, getattr(request, "request_id", ""))
        if key is None:
            return None
        kept = await self._kept.find_result(connection, key, fingerprint(request))
        return None if kept is None else response_type.FromString(kept)

    async def purge_expired(self) -> None:
        """Delete the answers that were kept for KEPT_FOR."""
        table, before = self._kept.table, self._clock() - KEPT_FOR
        async with self._database.transaction() as connection:
            await connection.execute(delete(table).where(table.c.create_time < before))
