"""Keys, their versions, and the answers kept for request_id."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from services.runtime.storage.database import UtcDateTime

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "keys",
        sa.Column("id", sa.String(63), primary_key=True),
        sa.Column("organization", sa.String(80), nullable=False),
        sa.Column("algorithm", sa.SmallInteger, nullable=False),
        sa.Column("primary_version", sa.Integer, nullable=False),
        sa.Column("create_time", UtcDateTime, nullable=False),
    )
    op.create_index("keys_by_organization", "keys", ["organization", "id"])
    op.create_table(
        "key_versions",
        sa.Column("key_id", sa.String(63), sa.ForeignKey("keys.id"), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("public_key", sa.LargeBinary, nullable=False),
        sa.Column("state", sa.SmallInteger, nullable=False),
        sa.Column("create_time", UtcDateTime, nullable=False),
        sa.Column("wrapping_key_id", sa.String(64)),
        sa.Column("sealed_private_key", sa.LargeBinary),
    )
    op.create_index("key_versions_by_wrapping_key", "key_versions", ["wrapping_key_id"])
    op.create_table(
        "requests",
        sa.Column("method", sa.String(64), primary_key=True),
        sa.Column("scope", sa.String(80), primary_key=True),
        sa.Column("request_id", sa.String(36), primary_key=True),
        sa.Column("request_sha256", sa.LargeBinary(32), nullable=False),
        sa.Column("response", sa.LargeBinary, nullable=False),
        sa.Column("create_time", UtcDateTime, nullable=False),
    )
    op.create_index("requests_by_time", "requests", ["create_time"])
