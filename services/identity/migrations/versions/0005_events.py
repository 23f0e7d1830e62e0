"""Events for the transparency log, and memberships that two people decide and that are kept."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from services.runtime.storage.database import UtcDateTime

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.create_table(
        "identity_events",
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.Integer(), nullable=False),
        sa.Column("basis", sa.Integer(), nullable=False),
        sa.Column("time", UtcDateTime(), nullable=False),
        sa.Column("subject", sa.String(length=64), nullable=False),
        sa.Column("organization", sa.String(length=64), nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(length=32), nullable=False),
        sa.Column("role", sa.Integer(), nullable=False),
        sa.Column("officers", sa.String(), nullable=False),
        sa.Column("salts", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("number"),
    )
    last_event = op.create_table("last_event", sa.Column("number", sa.BigInteger(), nullable=False))
    op.get_bind().execute(last_event.insert().values(number=0))
    op.create_table(
        "event_readers",
        sa.Column("reader", sa.String(length=32), nullable=False),
        sa.Column("through", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("reader"),
    )
    for name in ("proposer", "approver", "remove_proposer"):
        column = sa.Column(name, sa.String(length=64), nullable=False, server_default="")
        op.add_column("memberships", column)
    op.add_column("memberships", sa.Column("begin_time", UtcDateTime(), nullable=True))
    op.add_column("memberships", sa.Column("remove_ask_time", UtcDateTime(), nullable=True))
    # What there is gives its role from when it was added.
    op.execute("UPDATE memberships SET begin_time = create_time")
    op.create_table(
        "ended_memberships",
        sa.Column("organization", sa.String(length=64), nullable=False),
        sa.Column("person", sa.String(length=64), nullable=False),
        sa.Column("role", sa.Integer(), nullable=False),
        sa.Column("create_time", UtcDateTime(), nullable=False),
        sa.Column("begin_time", UtcDateTime(), nullable=False),
        sa.Column("remove_time", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("organization", "person", "remove_time"),
    )
    op.create_index("ended_memberships_by_person", "ended_memberships", ["person"])
