"""The schema of the requests service's database.

What people wrote, and what could tell it, is in sealed columns only.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
)

from services.runtime.storage.database import RowNumber, UtcDateTime
from services.runtime.storage.idempotency import requests_table

metadata = MetaData()

public_services = Table(
    "public_services",
    metadata,
    Column("name", String(80), primary_key=True),
    # The present one.
    Column("version", Integer, nullable=False),
)

# Every version, because requests are decided under the one that they were signed for.
public_service_versions = Table(
    "public_service_versions",
    metadata,
    Column("name", String(80), primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    # JSON.
    Column("definition", Text, nullable=False),
    # In the mandate's text; a suspension moves it.
    Column("mandate_time", UtcDateTime, nullable=False),
    # The approval; all NULL until there is one, and once it is suspended.
    Column("officer", String(80)),
    Column("approve_time", UtcDateTime),
    Column("certificate", LargeBinary),
    Column("algorithm", SmallInteger),
    Column("signature", LargeBinary),
)

# Keywords of present versions, folded, so that a text means one service.
keywords = Table(
    "keywords",
    metadata,
    Column("short_number", String(6), primary_key=True),
    Column("keyword", String(30), primary_key=True),
    Column("public_service", String(80), nullable=False),
    Index("keywords_by_service", "public_service"),
)

service_requests = Table(
    "service_requests",
    metadata,
    Column("name", String(80), primary_key=True),
    Column("public_service", String(80), nullable=False),
    Column("service_version", Integer, nullable=False),
    Column("provider", String(80), nullable=False),
    Column("appeal_body", String(80), nullable=False),
    Column("time_limit_days", SmallInteger, nullable=False),
    Column("applicant", String(80), nullable=False),
    Column("channel", SmallInteger, nullable=False),
    Column("state", SmallInteger, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("create_time", UtcDateTime, nullable=False),
    Column("statement_expire_time", UtcDateTime, nullable=False),
    Column("lapse_time", UtcDateTime),
    Column("submit_time", UtcDateTime),
    Column("end_time", UtcDateTime),
    Column("wait_since", UtcDateTime),
    Column("due_day", Date),
    Column("waited_seconds", Float, nullable=False),
    Column("refuser", String(80), nullable=False),
    Column("state_before_appeal", SmallInteger),
    Column("is_appeal_dismissed", Boolean, nullable=False),
    Column("output", String(80), nullable=False),
    Column("output_on_paper", Boolean, nullable=False),
    # Form, statement, signature, evidence, question, refusal.
    Column("key_id", String(64), nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Index("service_requests_by_applicant", "applicant", "name"),
    Index("service_requests_by_provider", "provider", "name"),
    Index("service_requests_by_appeal_body", "appeal_body", "state", "name"),
    Index("service_requests_by_lapse_time", "lapse_time"),
    # What is issued by rule and waits for it.
    Index("service_requests_by_state", "state", "time_limit_days"),
)

# The history of each request, and what of it the log has yet to hold.
events = Table(
    "events",
    metadata,
    Column("number", RowNumber, primary_key=True),
    Column("request", String(80), nullable=False),
    Column("revision", Integer, nullable=False),
    Column("state", SmallInteger, nullable=False),
    Column("time", UtcDateTime, nullable=False),
    # What was said, and the change as the log's entry commits to it.
    Column("key_id", String(64), nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    # -1 until it is in the log.
    Column("log_index", BigInteger, nullable=False),
    Index("events_by_request", "request", "revision", unique=True),
    Index("events_by_log_index", "log_index", "number"),
)

# Each end of a submitted request, as the statistics count it; none changes once its month is given
# out.
ends = Table(
    "ends",
    metadata,
    Column("request", String(80), primary_key=True),
    Column("revision", Integer, primary_key=True, autoincrement=False),
    Column("public_service", String(80), nullable=False),
    Column("provider", String(80), nullable=False),
    # "2026-10", in Asia/Almaty.
    Column("month", String(7), nullable=False),
    Column("channel", SmallInteger, nullable=False),
    Column("applicant", String(80), nullable=False),
    Column("state", SmallInteger, nullable=False),
    Column("is_electronic", Boolean, nullable=False),
    Column("is_in_time", Boolean, nullable=False),
    Column("looked_up", SmallInteger, nullable=False),
    Column("seconds", Integer, nullable=False),
    Index("ends_by_month", "month", "public_service", "channel"),
)

# A service is offered once a person and calendar year.
offers = Table(
    "offers",
    metadata,
    Column("public_service", String(80), primary_key=True),
    Column("subject", String(80), primary_key=True),
    Column("year", SmallInteger, primary_key=True, autoincrement=False),
)

requests = requests_table(metadata)
