"""Events for the transparency log, and memberships that two people decide and that are kept."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

from services.runtime.storage.database import UtcDateTime

revision = "0005"
down_revision = "0004"

# Of the contract: ROLE_OPERATOR, kinds of events, a basis.
OPERATOR = 5
CERTIFIED, CERTIFICATE_REGISTERED, MEMBERSHIP_ADDED = 1, 2, 4
INIT = 4


def upgrade() -> None:
    events = op.create_table(
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
    op.get_bind().execute(last_event.insert().values(number=_tell_of_what_there_is(events)))
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
    _keep_second_operator()
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


def _keep_second_operator() -> None:
    """Keep that there is an operator besides the first one, where there is."""
    connection = op.get_bind()
    facts = sa.table("facts", sa.column("name"), sa.column("value"))
    memberships = sa.table("memberships", *(sa.column(name) for name in ("organization", "role")))
    platform = sa.select(facts.c.value).where(facts.c.name == "platform_organization")
    operators = sa.select(sa.func.count()).where(
        memberships.c.organization == platform.scalar_subquery(),
        memberships.c.role == OPERATOR,
    )
    if connection.execute(operators).scalar_one() > 1:
        connection.execute(
            facts.insert().values(name="second_operator", value=datetime.now(UTC).isoformat())
        )


def _tell_of_what_there_is(events: sa.Table) -> int:
    """Insert an event of each certificate and membership of before, as if `init` had made it, so
    that the log has them all; return the last number."""
    connection = op.get_bind()
    certificates = sa.table(
        "certificates",
        *(sa.column(name) for name in ("subject", "service", "organization", "fingerprint", "own")),
    )
    memberships = sa.table(
        "memberships", *(sa.column(name) for name in ("person", "organization", "role"))
    )
    rows = [
        {
            "kind": CERTIFIED if row.own else CERTIFICATE_REGISTERED,
            "subject": row.subject or f"services/{row.service}",
            "organization": row.organization,
            "fingerprint": bytes.fromhex(row.fingerprint),
            "role": 0,
            "salts": os.urandom(64),
        }
        for row in connection.execute(sa.select(certificates))
    ]
    rows += [
        {
            "kind": MEMBERSHIP_ADDED,
            "subject": row.person,
            "organization": row.organization,
            "fingerprint": b"",
            "role": row.role,
            "salts": os.urandom(32),
        }
        for row in connection.execute(sa.select(memberships))
    ]
    same = {"basis": INIT, "time": datetime.now(UTC), "officers": json.dumps([])}
    if rows:
        numbered = [row | same | {"number": at} for at, row in enumerate(rows, start=1)]
        connection.execute(events.insert(), numbered)
    return len(rows)
