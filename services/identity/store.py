"""What the stores of all rooms share: inserting a row that may exist, and singletons."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from sqlalchemy import Table, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from services.identity.tables import singletons


class Taken(Exception):
    """A row with this key, or with another unique value of it, exists."""


class Singleton(StrEnum):
    """A value that the platform has once."""

    # The name of the platform's own organization.
    PLATFORM = "platform_organization"
    # Counts revocations; numbers the revocation list.
    REVOCATION_NUMBER = "revocation_number"
    # Set once the platform had an operator besides the first one: from then on its memberships take
    # two.
    SECOND_OPERATOR = "second_operator"
    # Set once an operator besides the first one had a certificate: from then on two are needed.
    SECOND_OPERATOR_CERTIFIED = "second_operator_certified"
    # When the seed was imported.
    SEEDED = "seeded"
    # Tells the key that phone numbers are stored with from any other.
    NUMBER_KEY = "number_key"


async def insert_row(connection: AsyncConnection, table: Table, values: dict[str, Any]) -> None:
    """Insert a row; the transaction stays usable if it exists. Raises Taken."""
    try:
        async with connection.begin_nested():
            await connection.execute(insert(table).values(**values))
    except IntegrityError:
        raise Taken from None


async def get_singleton(connection: AsyncConnection, name: Singleton) -> str | None:
    """Return the value, or None if it was never set."""
    query = select(singletons.c.value).where(singletons.c.name == name.value)
    value: str | None = (await connection.execute(query)).scalar_one_or_none()
    return value


async def set_singleton(connection: AsyncConnection, name: Singleton, value: str) -> None:
    """Set or replace the value."""
    changed = await connection.execute(
        update(singletons).where(singletons.c.name == name.value).values(value=value)
    )
    if not changed.rowcount:
        await connection.execute(insert(singletons).values(name=name.value, value=value))
