"""Certificates that wait for a second person, and who stands behind those that there are."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from services.identity.certificates.managed_keys import certified_key
from services.runtime.storage.database import UtcDateTime

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    for name in ("key", "proposer", "approver"):
        column = sa.Column(name, sa.String(length=64), nullable=False, server_default="")
        op.add_column("certificates", column)
    connection = op.get_bind()
    certificates = sa.table(
        "certificates", *(sa.column(name) for name in ("fingerprint", "der", "key"))
    )
    query = sa.select(certificates.c.fingerprint, certificates.c.der)
    for row in connection.execute(query).all():
        connection.execute(
            certificates.update()
            .where(certificates.c.fingerprint == row.fingerprint)
            .values(key=certified_key(bytes(row.der)))
        )
    op.create_table(
        "certificate_requests",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("subject", sa.String(length=64), nullable=False),
        sa.Column("organization", sa.String(length=64), nullable=False),
        sa.Column("usage", sa.Integer(), nullable=False),
        sa.Column("request", sa.LargeBinary(), nullable=False),
        sa.Column("der", sa.LargeBinary(), nullable=False),
        sa.Column("chain", sa.LargeBinary(), nullable=False),
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("proposer", sa.String(length=64), nullable=False),
        sa.Column("proposer_role", sa.Integer(), nullable=False),
        sa.Column("proposer_organization", sa.String(length=64), nullable=False),
        sa.Column("proposer_certificate", sa.String(length=64), nullable=False),
        sa.Column("create_time", UtcDateTime(), nullable=False),
        sa.Column("state", sa.Integer(), nullable=False),
        sa.Column("decider", sa.String(length=64), nullable=False),
        sa.Column("decide_time", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("certificate_requests_by_state", "certificate_requests", ["state", "id"])
    op.create_index("certificate_requests_by_key", "certificate_requests", ["key"])
