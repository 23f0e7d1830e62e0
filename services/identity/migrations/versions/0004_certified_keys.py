"""Whose each certified key is."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from services.identity.certificates.managed_keys import certified_key

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    keys = op.create_table(
        "certified_keys",
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("holder", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("fingerprint"),
    )
    connection = op.get_bind()
    certificates = sa.table(
        "certificates",
        *(sa.column(name) for name in ("subject", "service", "der", "create_time")),
    )
    # The first one to whom a key was certified keeps it.
    holders: dict[str, str] = {}
    query = sa.select(certificates).order_by(certificates.c.create_time)
    for row in connection.execute(query):
        holder = row.subject or f"services/{row.service}"
        holders.setdefault(certified_key(bytes(row.der)), holder)
    if holders:
        rows = [{"fingerprint": key, "holder": holder} for key, holder in holders.items()]
        connection.execute(keys.insert(), rows)
