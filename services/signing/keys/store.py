"""All SQL of the signing service: keys, their versions, and the sealed private parts."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import (
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    RowMapping,
    SmallInteger,
    String,
    Table,
    and_,
    func,
    insert,
    or_,
    select,
    tuple_,
    update,
)
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from services.runtime.errors import AlreadyExists
from services.runtime.storage.database import UtcDateTime
from services.runtime.storage.idempotency import requests_table
from services.signing.keys.rules import (
    Key,
    KeyVersion,
    State,
    parse_version_name,
    version_name,
)
from services.signing.keys.sealing import Sealed
from signatures.algorithms import Algorithm

metadata = MetaData()

keys = Table(
    "keys",
    metadata,
    Column("id", String(63), primary_key=True),
    Column("organization", String(80), nullable=False),
    Column("algorithm", SmallInteger, nullable=False),
    Column("primary_version", Integer, nullable=False),
    Column("create_time", UtcDateTime, nullable=False),
    Index("keys_by_organization", "organization", "id"),
)

key_versions = Table(
    "key_versions",
    metadata,
    Column("key_id", ForeignKey("keys.id"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("public_key", LargeBinary, nullable=False),
    Column("state", SmallInteger, nullable=False),
    Column("create_time", UtcDateTime, nullable=False),
    # Both NULL once the version is destroyed.
    Column("wrapping_key_id", String(64)),
    Column("sealed_private_key", LargeBinary),
    Index("key_versions_by_wrapping_key", "wrapping_key_id"),
)

requests = requests_table(metadata)

# Versions asked for in one statement: well under SQLite's limit of nested conditions.
LOOK_UP_AT_ONCE = 200


async def insert_key(connection: AsyncConnection, key: Key, sealed: Sealed) -> None:
    """Adds a key with its first version. Raises AlreadyExists where the id is taken."""
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
        raise AlreadyExists("there is a key of this name", "key_id") from None
    await _insert_version(connection, key.versions[0], sealed)


async def insert_primary_version(
    connection: AsyncConnection, version: KeyVersion, sealed: Sealed
) -> None:
    """Adds a version to its key and makes it the one that signs."""
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
            wrapping_key_id=sealed.wrapping_key_id,
            sealed_private_key=sealed.data,
        )
    )


async def find_key(
    connection: AsyncConnection, key_id: str, *, for_update: bool = False
) -> Key | None:
    """The key with all its versions, or None. for_update: nobody changes it until we are done."""
    query = select(keys).where(keys.c.id == key_id)
    if for_update:
        # SQLite's writers take turns anyhow, and its dialect leaves this out.
        query = query.with_for_update()
    found = await _with_versions(connection, (await connection.execute(query)).mappings().all())
    return found[0] if found else None


async def list_keys(
    connection: AsyncConnection, organization: str, after: str, limit: int
) -> list[Key]:
    """Keys in the order of their ids, behind the id given; of one organization, or of all ("")."""
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
                    row.key_id, row.number, bytes(row.public_key), State(row.state), row.create_time
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
    """The sealed private part of a version, or None where there is none (any more)."""
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


async def set_state(connection: AsyncConnection, key_id: str, number: int, state: State) -> None:
    """Changes a version's state; the private part of a destroyed one is gone with it."""
    values: dict[str, object] = {"state": int(state)}
    if state is State.DESTROYED:
        values |= {"wrapping_key_id": None, "sealed_private_key": None}
    await connection.execute(
        update(key_versions)
        .where(key_versions.c.key_id == key_id, key_versions.c.number == number)
        .values(**values)
    )


async def find_public_keys(connection: AsyncConnection, names: Sequence[str]) -> dict[str, bytes]:
    """The public keys (SubjectPublicKeyInfo) of those of these versions that there are, by name.

    Names must be of the form that versions have.
    """
    found: dict[str, bytes] = {}
    for start in range(0, len(names), LOOK_UP_AT_ONCE):
        parts = [
            parse_version_name(n, "key_version") for n in names[start : start + LOOK_UP_AT_ONCE]
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
    """(key id, number) and public key of versions, in that order, behind the one given."""
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
    """How many private keys each key-encryption key seals, by its id."""
    query = (
        select(key_versions.c.wrapping_key_id, func.count())
        .where(key_versions.c.wrapping_key_id.is_not(None))
        .group_by(key_versions.c.wrapping_key_id)
    )
    return {row[0]: row[1] for row in await connection.execute(query)}


async def sealed_under(
    connection: AsyncConnection, wrapping_key_id: str, limit: int
) -> list[tuple[str, int, Sealed]]:
    """Some of what a key-encryption key seals: key id, version's number, and the sealed part.

    Locked until the end of the transaction.
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
    """Puts a newly sealed private part in the place of the old one."""
    await connection.execute(
        update(key_versions)
        .where(key_versions.c.key_id == key_id, key_versions.c.number == number)
        .values(wrapping_key_id=sealed.wrapping_key_id, sealed_private_key=sealed.data)
    )
