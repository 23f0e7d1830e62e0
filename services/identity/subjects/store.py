"""Subjects and memberships in the database."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, delete, insert, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.identity.store import Singleton, get_singleton, insert_row
from services.identity.subjects.rules import Membership, Subject
from services.identity.tables import ended_memberships, memberships, subjects


async def add_subject(connection: AsyncConnection, subject: Subject) -> None:
    """Insert a subject. Raises Taken if another one has its number."""
    await insert_row(connection, subjects, asdict(subject))


async def change_subject(
    connection: AsyncConnection, name: str, values: dict[str, Any], now: datetime
) -> None:
    """Set columns of a subject."""
    await connection.execute(
        update(subjects).where(subjects.c.name == name).values(**values, update_time=now)
    )


async def get_subjects(connection: AsyncConnection, names: Iterable[str]) -> dict[str, Subject]:
    """Return the subjects that exist, by name."""
    rows = await connection.execute(select(subjects).where(subjects.c.name.in_(set(names))))
    return {row.name: _subject(row) for row in rows}


async def get_subject(connection: AsyncConnection, name: str) -> Subject | None:
    """Return the subject, or None."""
    return (await get_subjects(connection, [name])).get(name)


async def lock_subject(connection: AsyncConnection, name: str) -> None:
    """Make other transactions that lock the same subject wait until this one has ended."""
    query = select(subjects.c.name).where(subjects.c.name == name).with_for_update()
    await connection.execute(query)


async def resolve_numbers(connection: AsyncConnection, numbers: Iterable[str]) -> dict[str, str]:
    """Return the names of subjects that exist, by number."""
    rows = await connection.execute(
        select(subjects.c.number, subjects.c.name).where(subjects.c.number.in_(set(numbers)))
    )
    return {row.number: row.name for row in rows}


async def list_subjects(connection: AsyncConnection, *, after: str, limit: int) -> list[Subject]:
    """Return subjects sorted by name, behind the name `after`."""
    query = select(subjects).where(subjects.c.name > after).order_by(subjects.c.name).limit(limit)
    return [_subject(row) for row in await connection.execute(query)]


async def get_platform(connection: AsyncConnection) -> str:
    """Return the name of the platform's own organization; "" before the seed was imported."""
    return await get_singleton(connection, Singleton.PLATFORM) or ""


async def add_membership(connection: AsyncConnection, membership: Membership) -> None:
    """Insert a membership. Raises Taken if the person has one already."""
    await insert_row(connection, memberships, _row(membership))


async def change_membership(connection: AsyncConnection, changed: Membership) -> None:
    """Replace a membership's row, by organization and person."""
    await connection.execute(update(memberships).where(_is(changed)).values(_row(changed)))


async def drop_membership(connection: AsyncConnection, membership: Membership) -> None:
    """Delete a membership that never was in force."""
    await connection.execute(delete(memberships).where(_is(membership)))


async def end_membership(
    connection: AsyncConnection, membership: Membership, now: datetime
) -> None:
    """Move a membership to those that ended."""
    await drop_membership(connection, membership)
    values = {column.name: getattr(membership, column.name) for column in ended_memberships.c}
    await connection.execute(insert(ended_memberships).values(values | {"remove_time": now}))


async def get_memberships(
    connection: AsyncConnection, pairs: Iterable[tuple[str, str]]
) -> dict[tuple[str, str], Membership]:
    """Return the memberships that are there, in force or not, by (organization, person)."""
    key = tuple_(memberships.c.organization, memberships.c.person)
    rows = await connection.execute(select(memberships).where(key.in_(sorted(set(pairs)))))
    found = [Membership(**row._mapping) for row in rows]
    return {(membership.organization, membership.person): membership for membership in found}


async def get_membership(
    connection: AsyncConnection, organization: str, person: str
) -> Membership | None:
    """Return the membership that is there, in force or not, or None."""
    key = (organization, person)
    return (await get_memberships(connection, [key])).get(key)


async def list_memberships_of(
    connection: AsyncConnection, people: Iterable[str]
) -> dict[str, list[Membership]]:
    """Return all memberships of people, ended ones too, by person."""
    wanted = sorted(set(people))
    found: dict[str, list[Membership]] = {person: [] for person in wanted}
    for table in (ended_memberships, memberships):
        query = select(table).where(table.c.person.in_(wanted))
        for row in await connection.execute(query.order_by(table.c.organization)):
            found[row.person].append(Membership(**row._mapping))
    return found


async def list_memberships(
    connection: AsyncConnection, organization: str, *, after: str, limit: int
) -> list[Membership]:
    """Return an organization's memberships sorted by person, behind the person `after`."""
    query = (
        select(memberships)
        .where(memberships.c.organization == organization, memberships.c.person > after)
        .order_by(memberships.c.person)
        .limit(limit)
    )
    return [Membership(**row._mapping) for row in await connection.execute(query)]


def _is(membership: Membership) -> ColumnElement[bool]:
    return and_(
        memberships.c.organization == membership.organization,
        memberships.c.person == membership.person,
    )


def _row(membership: Membership) -> dict[str, Any]:
    return {column.name: getattr(membership, column.name) for column in memberships.c}


def _subject(row: Row[Any]) -> Subject:
    return Subject(**row._mapping)
