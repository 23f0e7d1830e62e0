"""SIMs, phones, and the queue of what is told about phones."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from services.runtime.storage.database import UtcDateTime

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.create_table(
        "sims",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("number_hash", sa.String(length=64), nullable=False),
        sa.Column("card_hash", sa.String(length=64), nullable=False),
        sa.Column("public_key", sa.LargeBinary(), nullable=False),
        sa.Column("create_time", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("number_hash"),
        sa.UniqueConstraint("card_hash"),
    )
    op.create_table(
        "phones",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("subject", sa.String(length=64), nullable=False),
        sa.Column("number_hash", sa.String(length=64), nullable=False),
        sa.Column("number", sa.LargeBinary(), nullable=False),
        sa.Column("sim", sa.String(length=36), nullable=False),
        sa.Column("public_key", sa.LargeBinary(), nullable=False),
        sa.Column("language", sa.String(length=2), nullable=False),
        sa.Column("state", sa.Integer(), nullable=False),
        sa.Column("proposer", sa.String(length=64), nullable=False),
        sa.Column("proposer_role", sa.Integer(), nullable=False),
        sa.Column("proposer_certificate", sa.String(length=64), nullable=False),
        sa.Column("approver", sa.String(length=64), nullable=False),
        sa.Column("approver_certificate", sa.String(length=64), nullable=False),
        sa.Column("challenge", sa.LargeBinary(), nullable=False),
        sa.Column("certificate", sa.String(length=64), nullable=False),
        sa.Column("create_time", UtcDateTime(), nullable=False),
        sa.Column("end_time", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("phones_by_subject", "phones", ["subject", "id"])
    op.create_index("phones_by_number", "phones", ["number_hash", "state"])
    op.create_index("phones_by_state", "phones", ["state", "create_time"])
    op.create_index("phones_by_certificate", "phones", ["certificate"])
    op.create_index("phones_by_proposer", "phones", ["proposer", "create_time"])
    op.create_table(
        "phone_notices",
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.Integer(), nullable=False),
        sa.Column("time", UtcDateTime(), nullable=False),
        sa.Column("phone", sa.String(length=96), nullable=False),
        sa.Column("recipients", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("number"),
    )
    last = op.create_table(
        "last_phone_notice", sa.Column("number", sa.BigInteger(), nullable=False)
    )
    op.get_bind().execute(last.insert().values(number=0))
