"""The SQL of tables of requests: fingerprint and result, under (method, scope, request_id).

There are two kinds. One keeps a request's whole answer for a day (idempotency.py). The other,
declared here, keeps the name of the resource that a request made, for ever; it is for a service
that answers a repeat from the resource, and commits many requests in one transaction.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sqlalchemy import (
    ARRAY,
    Column,
    Index,
    LargeBinary,
    MetaData,
    Select,
    String,
    Table,
    Text,
    and_,
    bindparam,
    cast,
    delete,
    func,
    insert,
    select,
    true,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from services.runtime.errors import AlreadyExists

R = TypeVar("R", bytes, str)


@dataclass(frozen=True, slots=True)
class RequestKey:
    """One request: its method, its caller's scope, and the request_id, unique within both."""

    method: str
    scope: str
    request_id: str


@dataclass(frozen=True, slots=True)
class KeptRequest(Generic[R]):
    """What is kept of the first request with a key."""

    # None where the fingerprint was destroyed, because it is a hash over erased data.
    request_sha256: bytes | None
    # The answer, serialized, or the name of the resource that the request made.
    result: R

    def check_is(self, request_sha256: bytes) -> None:
        """Return if the first request had this fingerprint, or if its own was destroyed.

        Raises AlreadyExists.
        """
        if self.request_sha256 is not None and self.request_sha256 != request_sha256:
            raise AlreadyExists("this request_id was used for another request", "request_id")


def resource_requests_table(metadata: MetaData) -> Table:
    """Declare the table of requests and the resources that they made, which are kept for ever."""
    table = Table(
        "requests",
        metadata,
        *key_columns(),
        # NULL once the resource was erased.
        Column("request_sha256", LargeBinary(32)),
        Column("resource", String(80), nullable=False),
    )
    Index("requests_by_resource", table.c.resource)
    return table


def key_columns() -> list[Column[str]]:
    """The primary key of every table of requests."""
    return [
        Column("method", String(64), primary_key=True),
        Column("scope", String(80), primary_key=True),
        Column("request_id", String(36), primary_key=True),
    ]


class KeptRequests(Generic[R]):
    """The SQL of a table of requests. Every method works in the caller's transaction."""

    def __init__(self, table: Table, result: str) -> None:
        """result: the column that holds the requests' results."""
        self.table = table
        self._result: Column[R] = table.c[result]
        # Built once: building it costs as much as finding a hundred keys.
        self._each_of = _each_of(table)

    async def find(self, connection: AsyncConnection, key: RequestKey) -> KeptRequest[R] | None:
        """Return the first request with the key, or None."""
        return (await self._read(connection, select(self.table).where(self._is(key)))).get(key)

    async def find_result(
        self, connection: AsyncConnection, key: RequestKey, request_sha256: bytes
    ) -> R | None:
        """Return the result of the first request with the key, or None. Raises AlreadyExists if it
        was another request."""
        kept = await self.find(connection, key)
        if kept is None:
            return None
        kept.check_is(request_sha256)
        return kept.result

    async def find_many(
        self, connection: AsyncConnection, keys: Collection[RequestKey]
    ) -> dict[RequestKey, KeptRequest[R]]:
        """Return the first requests with those keys, as far as there are any."""
        if not keys:
            return {}
        if connection.dialect.name == "sqlite":
            found = await self._read(connection, self._any_of(keys))
        else:
            parameters = {
                "methods": [key.method for key in keys],
                "scopes": [key.scope for key in keys],
                "ids": [key.request_id for key in keys],
            }
            found = await self._read(connection, self._each_of, parameters)
        return {key: found[key] for key in keys if key in found}

    def row(self, key: RequestKey, request_sha256: bytes, result: R) -> dict[str, Any]:
        """Return the row that keeps a request, for an insert of the caller's own."""
        return {
            "method": key.method,
            "scope": key.scope,
            "request_id": key.request_id,
            "request_sha256": request_sha256,
            self._result.name: result,
        }

    async def replace(
        self, connection: AsyncConnection, key: RequestKey, request_sha256: bytes, result: R
    ) -> None:
        """Keep a request in place of an earlier one with its key."""
        await connection.execute(delete(self.table).where(self._is(key)))
        await connection.execute(insert(self.table), [self.row(key, request_sha256, result)])

    async def destroy_fingerprints(self, connection: AsyncConnection, result: R) -> None:
        """Destroy the fingerprints of the requests that had this result."""
        await connection.execute(
            update(self.table).where(self._result == result).values(request_sha256=None)
        )

    async def _read(
        self,
        connection: AsyncConnection,
        statement: Select[Any],
        parameters: Mapping[str, Any] | None = None,
    ) -> dict[RequestKey, KeptRequest[R]]:
        return {
            RequestKey(row.method, row.scope, row.request_id): KeptRequest(
                None if row.request_sha256 is None else bytes(row.request_sha256),
                row._mapping[self._result.name],
            )
            for row in await connection.execute(statement, parameters)
        }

    def _is(self, key: RequestKey) -> Any:
        columns = self.table.c
        return and_(
            columns.method == key.method,
            columns.scope == key.scope,
            columns.request_id == key.request_id,
        )

    def _any_of(self, keys: Collection[RequestKey]) -> Select[Any]:
        """Select every combination of the keys' parts, which includes the keys."""
        columns = self.table.c
        return select(self.table).where(
            columns.method.in_({key.method for key in keys}),
            columns.scope.in_({key.scope for key in keys}),
            columns.request_id.in_([key.request_id for key in keys]),
        )


def _each_of(table: Table) -> Select[Any]:
    """Return the statement that selects key by key, for the parameters methods, scopes and ids.

    Given the same statement as SQLite, PostgreSQL reads every request of a scope until it has
    statistics of the table.
    """
    asked = (
        func.unnest(
            cast(bindparam("methods"), ARRAY(Text)),
            cast(bindparam("scopes"), ARRAY(Text)),
            cast(bindparam("ids"), ARRAY(Text)),
        )
        .table_valued("method", "scope", "request_id", name="asked")
        .render_derived(name="asked")
    )
    columns = table.c
    kept = (
        select(table)
        .where(
            columns.method == asked.c.method,
            columns.scope == asked.c.scope,
            columns.request_id == asked.c.request_id,
        )
        .limit(1)
        .lateral("kept")
    )
    return select(kept).select_from(asked.join(kept, true()))
