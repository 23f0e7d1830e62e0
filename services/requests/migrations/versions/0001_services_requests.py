"""Public services, their versions, requests, their history and their ends."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from services.runtime.storage.database import UtcDateTime

revision = "0001"
down_revision = None

_Number = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.create_table(
        "public_services",
        sa.Column("name", sa.String(80), primary_key=True),
        sa.Column("version", sa.Integer, nullable=False),
    )
    op.create_table(
        "public_service_versions",
        sa.Column("name", sa.String(80), primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("definition", sa.Text, nullable=False),
        sa.Column("mandate_time", UtcDateTime, nullable=False),
        sa.Column("officer", sa.String(80)),
        sa.Column("approve_time", UtcDateTime),
        sa.Column("certificate", sa.LargeBinary),
        sa.Column("algorithm", sa.SmallInteger),
        sa.Column("signature", sa.LargeBinary),
    )
    op.create_table(
        "keywords",
        sa.Column("short_number", sa.String(6), primary_key=True),
        sa.Column("keyword", sa.String(30), primary_key=True),
        sa.Column("public_service", sa.String(80), nullable=False),
    )
    op.create_index("keywords_by_service", "keywords", ["public_service"])
    op.create_table(
        "service_requests",
        sa.Column("name", sa.String(80), primary_key=True),
        sa.Column("public_service", sa.String(80), nullable=False),
        sa.Column("service_version", sa.Integer, nullable=False),
        sa.Column("provider", sa.String(80), nullable=False),
        sa.Column("appeal_body", sa.String(80), nullable=False),
        sa.Column("time_limit_days", sa.SmallInteger, nullable=False),
        sa.Column("applicant", sa.String(80), nullable=False),
        sa.Column("channel", sa.SmallInteger, nullable=False),
        sa.Column("state", sa.SmallInteger, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("create_time", UtcDateTime, nullable=False),
        sa.Column("statement_expire_time", UtcDateTime, nullable=False),
        sa.Column("lapse_time", UtcDateTime),
        sa.Column("submit_time", UtcDateTime),
        sa.Column("end_time", UtcDateTime),
        sa.Column("wait_since", UtcDateTime),
        sa.Column("due_day", sa.Date),
        sa.Column("waited_seconds", sa.Float, nullable=False),
        sa.Column("refuser", sa.String(80), nullable=False),
        sa.Column("state_before_appeal", sa.SmallInteger),
        sa.Column("is_appeal_dismissed", sa.Boolean, nullable=False),
        sa.Column("output", sa.String(80), nullable=False),
        sa.Column("output_on_paper", sa.Boolean, nullable=False),
        sa.Column("key_id", sa.String(64), nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
    )
    op.create_index("service_requests_by_applicant", "service_requests", ["applicant", "name"])
    op.create_index("service_requests_by_provider", "service_requests", ["provider", "name"])
    op.create_index(
        "service_requests_by_appeal_body", "service_requests", ["appeal_body", "state", "name"]
    )
    op.create_index("service_requests_by_lapse_time", "service_requests", ["lapse_time"])
    op.create_index("service_requests_by_state", "service_requests", ["state", "time_limit_days"])
    op.create_table(
        "events",
        sa.Column("number", _Number, primary_key=True),
        sa.Column("request", sa.String(80), nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("state", sa.SmallInteger, nullable=False),
        sa.Column("time", UtcDateTime, nullable=False),
        sa.Column("key_id", sa.String(64), nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sa.Column("log_index", sa.BigInteger, nullable=False),
    )
    op.create_index("events_by_request", "events", ["request", "revision"], unique=True)
    op.create_index("events_by_log_index", "events", ["log_index", "number"])
    op.create_table(
        "ends",
        sa.Column("request", sa.String(80), primary_key=True),
        sa.Column("revision", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("public_service", sa.String(80), nullable=False),
        sa.Column("provider", sa.String(80), nullable=False),
        sa.Column("month", sa.String(7), nullable=False),
        sa.Column("channel", sa.SmallInteger, nullable=False),
        sa.Column("applicant", sa.String(80), nullable=False),
        sa.Column("state", sa.SmallInteger, nullable=False),
        sa.Column("is_electronic", sa.Boolean, nullable=False),
        sa.Column("is_in_time", sa.Boolean, nullable=False),
        sa.Column("looked_up", sa.SmallInteger, nullable=False),
        sa.Column("seconds", sa.Integer, nullable=False),
    )
    op.create_index("ends_by_month", "ends", ["month", "public_service", "channel"])
    op.create_table(
        "offers",
        sa.Column("public_service", sa.String(80), primary_key=True),
        sa.Column("subject", sa.String(80), primary_key=True),
        sa.Column("year", sa.SmallInteger, primary_key=True, autoincrement=False),
    )
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
