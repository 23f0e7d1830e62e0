"""Acts on behalf: ended mandates, statements of requests, their changes, and consent requests."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from services.runtime.storage.database import UtcDateTime

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.create_table(
        "mandate_ends",
        sa.Column("provider", sa.String(80), nullable=False),
        sa.Column("public_service", sa.String(80), nullable=False),
        sa.Column("end_time", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("provider", "public_service"),
    )
    op.create_table(
        "request_statements",
        sa.Column("request", sa.String(80), nullable=False),
        sa.Column("statement_sha256", sa.LargeBinary(32), nullable=False),
        sa.Column("applicant", sa.String(80), nullable=False),
        sa.Column("public_service", sa.String(80), nullable=False),
        sa.Column("accept_time", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("request"),
    )
    op.create_table(
        "request_events",
        sa.Column("request", sa.String(80), nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("public_service", sa.String(80), nullable=False),
        sa.Column("applicant", sa.String(80), nullable=False),
        sa.Column("change", sa.LargeBinary(), nullable=False),
        sa.Column("time", UtcDateTime(), nullable=False),
        sa.Column("entry_salt", sa.LargeBinary(32), nullable=False),
        sa.Column("log_index", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("request", "number"),
    )
    op.create_index("request_events_by_applicant", "request_events", ["applicant", "log_index"])
    op.create_index("request_events_by_index", "request_events", ["log_index"])
    op.create_table(
        "consent_requests",
        sa.Column("name", sa.String(80), nullable=False),
        sa.Column("organization", sa.String(80), nullable=False),
        sa.Column("subject", sa.String(80), nullable=True),
        sa.Column("document_type", sa.String(80), nullable=False),
        sa.Column("purpose", sa.String(64), nullable=False),
        sa.Column("purpose_text", sa.Text(), nullable=False),
        sa.Column("create_time", UtcDateTime(), nullable=False),
        sa.Column("expire_time", UtcDateTime(), nullable=False),
        sa.Column("state", sa.SmallInteger(), nullable=False),
        sa.Column("consent", sa.String(80), nullable=True),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_index(
        "consent_requests_by_organization", "consent_requests", ["organization", "name"]
    )
    op.create_index("consent_requests_by_subject", "consent_requests", ["subject", "name"])
