"""All SQL of identity. Functions take a connection; what a servicer calls is one transaction."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import Row, delete, insert, select, tuple_, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from services.identity.certificates.rules import Binding, StoredCertificate
from services.identity.subjects.rules import Membership, Subject
from services.identity.tables import (
    certificates,
    facts,
    held_keys,
    memberships,
    subjects,
    used_challenges,
)

PLATFORM = "platform_organization"
REVOCATION_NUMBER = "revocation_number"
# Making objects of this many rows keeps the event loop for about two milliseconds.
ROWS_AT_ONCE = 100


class Taken(Exception):
    """The key is there already."""


async def _insert(connection: AsyncConnection, table: Any, values: dict[str, Any]) -> None:
    try:
        async with connection.begin_nested():
            await connection.execute(insert(table).values(**values))
    except IntegrityError:
        raise Taken from None


# Subjects


async def add_subject(connection: AsyncConnection, subject: Subject) -> None:
    """Raises Taken where the number is."""
    await _insert(connection, subjects, asdict(subject))


async def change_subject(
    connection: AsyncConnection, name: str, values: dict[str, Any], now: datetime
) -> None:
    await connection.execute(
        update(subjects).where(subjects.c.name == name).values(**values, update_time=now)
    )


async def get_subjects(connection: AsyncConnection, names: Iterable[str]) -> dict[str, Subject]:
    """Those that exist, by name."""
    rows = await connection.execute(select(subjects).where(subjects.c.name.in_(set(names))))
    return {row.name: _subject(row) for row in rows}


async def get_subject(connection: AsyncConnection, name: str) -> Subject | None:
    return (await get_subjects(connection, [name])).get(name)


async def resolve(connection: AsyncConnection, numbers: Iterable[str]) -> dict[str, str]:
    """Names by number, of those that exist."""
    rows = await connection.execute(
        select(subjects.c.number, subjects.c.name).where(subjects.c.number.in_(set(numbers)))
    )
    return {row.number: row.name for row in rows}


async def list_subjects(
    connection: AsyncConnection, *, after: str | None, limit: int
) -> list[Subject]:
    query = select(subjects).order_by(subjects.c.name).limit(limit)
    if after is not None:
        query = query.where(subjects.c.name > after)
    return [_subject(row) for row in await connection.execute(query)]


def _subject(row: Row[Any]) -> Subject:
    return Subject(**row._mapping)


# Memberships


async def add_membership(connection: AsyncConnection, membership: Membership) -> None:
    """Raises Taken where the person is a member already."""
    await _insert(connection, memberships, asdict(membership))


async def remove_membership(connection: AsyncConnection, organization: str, person: str) -> bool:
    result = await connection.execute(
        delete(memberships).where(
            memberships.c.organization == organization, memberships.c.person == person
        )
    )
    return result.rowcount > 0


async def get_memberships(
    connection: AsyncConnection, pairs: Iterable[tuple[str, str]]
) -> dict[tuple[str, str], Membership]:
    """Those that exist, by (organization, person)."""
    key = tuple_(memberships.c.organization, memberships.c.person)
    rows = await connection.execute(select(memberships).where(key.in_(sorted(set(pairs)))))
    found = [Membership(**row._mapping) for row in rows]
    return {(membership.organization, membership.person): membership for membership in found}


async def list_memberships(
    connection: AsyncConnection, organization: str, *, after: str | None, limit: int
) -> list[Membership]:
    query = (
        select(memberships)
        .where(memberships.c.organization == organization)
        .order_by(memberships.c.person)
        .limit(limit)
    )
    if after is not None:
        query = query.where(memberships.c.person > after)
    return [Membership(**row._mapping) for row in await connection.execute(query)]


# Certificates


async def add_certificate(connection: AsyncConnection, certificate: StoredCertificate) -> None:
    """Raises Taken where the certificate is registered."""
    await _insert(connection, certificates, asdict(certificate))


async def get_certificates(
    connection: AsyncConnection, fingerprints: Iterable[str]
) -> dict[str, StoredCertificate]:
    """Those that are known, by fingerprint."""
    wanted = sorted(set(fingerprints))
    found = {}
    for start in range(0, len(wanted), ROWS_AT_ONCE):
        some = wanted[start : start + ROWS_AT_ONCE]
        query = select(certificates).where(certificates.c.fingerprint.in_(some))
        for row in await connection.execute(query):
            found[row.fingerprint] = StoredCertificate(**row._mapping)
    return found


async def get_bindings(connection: AsyncConnection, fingerprints: Sequence[str]) -> list[Binding]:
    """What decides the status of those that are known."""
    columns = certificates.c
    rows = await connection.execute(
        select(
            columns.fingerprint,
            columns.subject,
            columns.not_before,
            columns.not_after,
            columns.usage,
            columns.own,
            columns.revoke_time,
        ).where(columns.fingerprint.in_(fingerprints))
    )
    return [Binding(*row) for row in rows]


async def get_certificates_by_serial(
    connection: AsyncConnection, serial_numbers: Iterable[str]
) -> dict[str, StoredCertificate]:
    """The own authority's, by serial number in hex."""
    rows = await connection.execute(
        select(certificates).where(
            certificates.c.serial_number.in_(set(serial_numbers)), certificates.c.own
        )
    )
    return {row.serial_number: StoredCertificate(**row._mapping) for row in rows}


async def list_certificates(
    connection: AsyncConnection, subject: str, *, after: str | None, limit: int
) -> list[StoredCertificate]:
    query = (
        select(certificates)
        .where(certificates.c.subject == subject)
        .order_by(certificates.c.fingerprint)
        .limit(limit)
    )
    if after is not None:
        query = query.where(certificates.c.fingerprint > after)
    return [StoredCertificate(**row._mapping) for row in await connection.execute(query)]


async def holds_certificate(
    connection: AsyncConnection, subject: str, *, usage: int, organization: str, now: datetime
) -> bool:
    """Whether the own authority has given the subject one of this kind that is good now."""
    columns = certificates.c
    query = select(columns.fingerprint).where(
        columns.subject == subject,
        columns.own,
        columns.usage == int(usage),
        columns.organization == organization,
        columns.revoke_time.is_(None),
        columns.not_before <= now,
        columns.not_after >= now,
    )
    return (await connection.execute(query.limit(1))).first() is not None


async def revoke_certificate(
    connection: AsyncConnection, fingerprint: str, *, reason: int, now: datetime
) -> None:
    """Revokes it unless it is revoked, and numbers the next revocation list."""
    result = await connection.execute(
        update(certificates)
        .where(certificates.c.fingerprint == fingerprint, certificates.c.revoke_time.is_(None))
        .values(revoke_time=now, revocation_reason=reason)
    )
    if result.rowcount:
        number = await get_fact(connection, REVOCATION_NUMBER)
        await set_fact(connection, REVOCATION_NUMBER, str(int(number or "0") + 1))


async def revoked_certificates(
    connection: AsyncConnection, *, now: datetime
) -> Sequence[StoredCertificate]:
    """The own authority's revoked ones that have not expired, for the revocation list."""
    rows = await connection.execute(
        select(certificates)
        .where(
            certificates.c.own,
            certificates.c.revoke_time.is_not(None),
            certificates.c.not_after > now,
        )
        .order_by(certificates.c.revoke_time, certificates.c.fingerprint)
    )
    return [StoredCertificate(**row._mapping) for row in rows]


# Held keys


async def hold_keys(
    connection: AsyncConnection, fingerprints: Iterable[str], *, now: datetime
) -> None:
    """Keeps those that are not there yet."""
    wanted = set(fingerprints)
    rows = await connection.execute(
        select(held_keys.c.fingerprint).where(held_keys.c.fingerprint.in_(wanted))
    )
    for fingerprint in sorted(wanted - {row.fingerprint for row in rows}):
        # Who said the same at the same time was first.
        with suppress(Taken):
            await _insert(connection, held_keys, {"fingerprint": fingerprint, "create_time": now})


async def is_held(connection: AsyncConnection, fingerprint: str) -> bool:
    query = select(held_keys.c.fingerprint).where(held_keys.c.fingerprint == fingerprint)
    return (await connection.execute(query)).first() is not None


# Challenges and facts


async def use_challenge(
    connection: AsyncConnection, challenge: str, *, expire_time: datetime, now: datetime
) -> None:
    """Marks a challenge as used. Raises Taken where it was."""
    await connection.execute(delete(used_challenges).where(used_challenges.c.expire_time < now))
    await _insert(connection, used_challenges, {"challenge": challenge, "expire_time": expire_time})


async def get_fact(connection: AsyncConnection, name: str) -> str | None:
    query = select(facts.c.value).where(facts.c.name == name)
    value: str | None = (await connection.execute(query)).scalar_one_or_none()
    return value


async def set_fact(connection: AsyncConnection, name: str, value: str) -> None:
    changed = await connection.execute(
        update(facts).where(facts.c.name == name).values(value=value)
    )
    if not changed.rowcount:
        await connection.execute(insert(facts).values(name=name, value=value))
