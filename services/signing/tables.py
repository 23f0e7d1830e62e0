"""The schema of the signing service's database."""

from __future__ import annotations

from sqlalchemy import (
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
)

from services.runtime.storage.database import UtcDateTime
from services.runtime.storage.idempotency import requests_table

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
