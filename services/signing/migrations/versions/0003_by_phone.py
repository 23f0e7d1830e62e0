"""Sign-ins by phone, and the challenges of acts that phones confirm."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from services.runtime.storage.database import UtcDateTime

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "phone_sign_ins",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("number_key", sa.String(64), nullable=False),
        sa.Column("open_number", sa.String(64), unique=True),
        sa.Column("session", sa.String(36), nullable=False),
        sa.Column("code", sa.String(4), nullable=False),
        sa.Column("wrapping_key_id", sa.String(64), nullable=False),
        sa.Column("sealed_challenge", sa.LargeBinary, nullable=False),
        sa.Column("create_time", UtcDateTime, nullable=False),
        sa.Column("expire_time", UtcDateTime, nullable=False),
    )
    op.create_index("phone_sign_ins_by_number", "phone_sign_ins", ["number_key", "create_time"])
    op.create_index("phone_sign_ins_by_time", "phone_sign_ins", ["create_time"])
    op.create_table(
        "act_challenges",
        sa.Column("session", sa.String(36), primary_key=True),
        sa.Column("challenge", sa.LargeBinary, nullable=False),
        sa.Column("create_time", UtcDateTime, nullable=False),
    )
    op.create_index("act_challenges_by_time", "act_challenges", ["create_time"])
