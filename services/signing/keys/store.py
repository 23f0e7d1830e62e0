"""All SQL of the signing service: keys, their versions and the sealed private keys."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import RowMapping, and_, func, insert, or_, select, tuple_, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from services.runtime.errors import AlreadyExists
from services.runtime.sealing import Sealed
from services.signing.keys.rules import (
    Key,
    KeyVersion,
    KeyVersionState,
    parse_version_name,
    version_name,
)
from services.signing.tables import key_versions, keys
from signatures.algorithms import Algorithm

# Versions selected by one statement: well under SQLite's limit of 1,000 nested conditions.
LOOK_UP_CHUNK = 200


async def insert_key(connection: AsyncConnection, key: Key, sealed: Sealed) -> None:
    """Add a key with its first version. Raises AlreadyExists if the id is taken."""
    try:
        await connection.execute(
            insert(keys).values(
                id=key.id,
                organization=key.organization,
                algorithm=int(key.algorithm),
                primary_version=key.primary,
                create_time=key.create_time,
            )
        )
    except IntegrityError:
        raise AlreadyExists("a key of this id exists", "key_id") from None
    await _insert_version(connection, key.versions[0], sealed)


async def count_keys(
    connection: AsyncConnection, organization: str, *, for_insert: bool = False
) -> int:
    """Count an organization's keys, destroyed ones too. for_insert: let those who count for the
    same organization wait until the commit, by locking its keys."""
    if for_insert:
        of_organization = select(keys.c.id).where(keys.c.organization == organization)
        await connection.execute(of_organization.order_by(keys.c.id).with_for_update())
    query = select(func.count()).select_from(keys).where(keys.c.organization == organization)
    return int((await connection.execute(query)).scalar_one())


async def insert_primary_version(
    connection: AsyncConnection, version: KeyVersion, sealed: Sealed
) -> None:
    """Add a version to its key and make it the primary one."""
    await _insert_version(connection, version, sealed)
    await connection.execute(
        update(keys).where(keys.c.id == version.key_id).values(primary_version=version.number)
    )


async def _insert_version(connection: AsyncConnection, version: KeyVersion, sealed: Sealed) -> None:
    await connection.execute(
        insert(key_versions).values(
            key_id=version.key_id,
            number=version.number,
            public_key=version.public_key,
            state=int(version.state),
            create_time=version.create_time,
            wrapping_key_id=sealed.key_id,
            sealed_private_key=sealed.data,
        )
    )


async def find_key(
    connection: AsyncConnection, key_id: str, *, for_update: bool = False
) -> Key | None:
    """Return the key with all its versions, or None. for_update: lock it until the commit."""
    query = select(keys).where(keys.c.id == key_id)
    if for_update:
        # SQLite has one writer at a time anyway, and its dialect omits FOR UPDATE.
        query = query.with_for_update()
    found = await _with_versions(connection, (await connection.execute(query)).mappings().all())
    return found[0] if found else None


async def list_keys(
    connection: AsyncConnection, organization: str, after: str, limit: int
) -> list[Key]:
    """Return keys by id, behind the id `after`; of one organization, or of all ("")."""
    query = select(keys).where(keys.c.id > after).order_by(keys.c.id).limit(limit)
    if organization:
        query = query.where(keys.c.organization == organization)
    return await _with_versions(connection, (await connection.execute(query)).mappings().all())


async def _with_versions(connection: AsyncConnection, rows: Sequence[RowMapping]) -> list[Key]:
    query = (
        select(
            key_versions.c.key_id,
            key_versions.c.number,
            key_versions.c.public_key,
            key_versions.c.state,
            key_versions.c.create_time,
        )
        .where(key_versions.c.key_id.in_([row["id"] for row in rows]))
        .order_by(key_versions.c.key_id, key_versions.c.number)
    )
    versions: dict[str, list[KeyVersion]] = {row["id"]: [] for row in rows}
    if rows:
        for row in await connection.execute(query):
            versions[row.key_id].append(
                KeyVersion(
                    row.key_id,
                    row.number,
                    bytes(row.public_key),
                    KeyVersionState(row.state),
                    row.create_time,
                )
            )
    return [
        Key(
            row["id"],
            row["organization"],
            Algorithm(row["algorithm"]),
            row["primary_version"],
            tuple(versions[row["id"]]),
            row["create_time"],
        )
        for row in rows
    ]


async def find_sealed(connection: AsyncConnection, key_id: str, number: int) -> Sealed | None:
    """Return a version's sealed private key, or None: no such version, or destroyed."""
    row = (
        await connection.execute(
            select(key_versions.c.wrapping_key_id, key_versions.c.sealed_private_key).where(
                key_versions.c.key_id == key_id, key_versions.c.number == number
            )
        )
    ).one_or_none()
    if row is None or row.sealed_private_key is None:
        return None
    return Sealed(row.wrapping_key_id, bytes(row.sealed_private_key))


async def set_state(
    connection: AsyncConnection, key_id: str, number: int, state: KeyVersionState
) -> None:
    """Change a version's state; DESTROYED also wipes its private key."""
    values: dict[str, object] = {"state": int(state)}
    if state is KeyVersionState.DESTROYED:
        values |= {"wrapping_key_id": None, "sealed_private_key": None}
    await connection.execute(
        update(key_versions)
        .where(key_versions.c.key_id == key_id, key_versions.c.number == number)
        .values(**values)
    )


async def find_public_keys(connection: AsyncConnection, names: Sequence[str]) -> dict[str, bytes]:
    """Return public keys (SubjectPublicKeyInfo) by version name; unknown versions are left out.

    Raises InvalidArgument for a name that does not have the form of a version's.
    """
    found: dict[str, bytes] = {}
    for start in range(0, len(names), LOOK_UP_CHUNK):
        parts = [
            parse_version_name(name, "key_version") for name in names[start : start + LOOK_UP_CHUNK]
        ]
        wanted = or_(
            *(
                and_(key_versions.c.key_id == key_id, key_versions.c.number == number)
                for key_id, number in parts
            )
        )
        query = select(
            key_versions.c.key_id, key_versions.c.number, key_versions.c.public_key
        ).where(wanted)
        for row in await connection.execute(query):
            found[version_name(row.key_id, row.number)] = bytes(row.public_key)
    return found


async def list_public_keys(
    connection: AsyncConnection, after: tuple[str, int], limit: int
) -> list[tuple[tuple[str, int], bytes]]:
    """Return (key id, number) and public key of versions, sorted, behind the version `after`."""
    table = key_versions.c
    query = (
        select(table.key_id, table.number, table.public_key)
        .where(tuple_(table.key_id, table.number) > after)
        .order_by(table.key_id, table.number)
        .limit(limit)
    )
    rows = await connection.execute(query)
    return [((row.key_id, row.number), bytes(row.public_key)) for row in rows]


async def wrapping_keys_in_use(connection: AsyncConnection) -> dict[str, int]:
    """Count the private keys under each key-encryption key, by its id."""
    query = (
        select(key_versions.c.wrapping_key_id, func.count())
        .where(key_versions.c.wrapping_key_id.is_not(None))
        .group_by(key_versions.c.wrapping_key_id)
    )
    return {row[0]: row[1] for row in await connection.execute(query)}


async def sealed_under(
    connection: AsyncConnection, wrapping_key_id: str, limit: int
) -> list[tuple[str, int, Sealed]]:
    """Return key id, version number and sealed private key, at most `limit`, under a KEK.

    The rows are locked until the commit.
    """
    query = (
        select(
            key_versions.c.key_id,
            key_versions.c.number,
            key_versions.c.wrapping_key_id,
            key_versions.c.sealed_private_key,
        )
        .where(key_versions.c.wrapping_key_id == wrapping_key_id)
        .order_by(key_versions.c.key_id, key_versions.c.number)
        .limit(limit)
        .with_for_update()
    )
    return [
        (row.key_id, row.number, Sealed(row.wrapping_key_id, bytes(row.sealed_private_key)))
        for row in await connection.execute(query)
    ]


async def replace_sealed(
    connection: AsyncConnection, key_id: str, number: int, sealed: Sealed
) -> None:
    """Replace a version's sealed private key."""
    await connection.execute(
        update(key_versions)
        .where(key_versions.c.key_id == key_id, key_versions.c.number == number)
        .values(wrapping_key_id=sealed.key_id, sealed_private_key=sealed.data)
    )
