"""Version 2 of the log's entries: its salts, changes of types, and identity's events."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from services.runtime.storage.database import UtcDateTime

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.add_column("consents", sa.Column("grant_text_salt", sa.LargeBinary(32), nullable=True))
    op.add_column("consents", sa.Column("withdraw_text_salt", sa.LargeBinary(32), nullable=True))
    op.add_column("accesses", sa.Column("entry_salt", sa.LargeBinary(32), nullable=True))
    op.create_table(
        "type_changes",
        sa.Column("log_index", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("document_type", sa.String(80), nullable=False),
        sa.Column("time", UtcDateTime(), nullable=False),
        sa.Column("type_sha256", sa.LargeBinary(32), nullable=False),
        sa.Column("issuers", sa.JSON(), nullable=False),
        sa.Column("legal_bases", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("log_index"),
    )
    op.create_index("type_changes_by_type", "type_changes", ["document_type", "log_index"])
    op.create_table(
        "identity_events",
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.SmallInteger(), nullable=False),
        sa.Column("basis", sa.SmallInteger(), nullable=False),
        sa.Column("time", UtcDateTime(), nullable=False),
        sa.Column("subject", sa.String(80), nullable=False),
        sa.Column("organization", sa.String(80), nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(32), nullable=False),
        sa.Column("role", sa.SmallInteger(), nullable=False),
        sa.Column("officers", sa.JSON(), nullable=False),
        sa.Column("salts", sa.LargeBinary(), nullable=False),
        sa.Column("log_index", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("number"),
    )
    op.create_index("identity_events_by_subject", "identity_events", ["subject", "number"])
    op.create_index("identity_events_by_fingerprint", "identity_events", ["fingerprint"])
