"""A signature says the version of its statement; legal bases wait for a second operator."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from services.runtime.storage.database import UtcDateTime

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    # The default is for what is stored, and for replicas of the version before.
    op.add_column(
        "document_signatures",
        sa.Column("statement_version", sa.SmallInteger(), nullable=False, server_default="1"),
    )
    op.create_table(
        "statement_versions",
        sa.Column("version", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("first_start_time", UtcDateTime, nullable=False),
        sa.PrimaryKeyConstraint("version"),
    )
    op.add_column("document_types", sa.Column("pending_legal_bases", sa.JSON()))
