"""The outbox, the inbox, and the answers kept for request_id."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from services.runtime.storage.database import UtcDateTime

revision = "0001"
down_revision = None

_Number = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.create_table(
        "messages",
        sa.Column("number", _Number, primary_key=True),
        sa.Column("id", sa.String(36), nullable=False, unique=True),
        sa.Column("service", sa.String(20), nullable=False),
        sa.Column("state", sa.SmallInteger, nullable=False),
        sa.Column("priority", sa.SmallInteger, nullable=False),
        sa.Column("rank", sa.SmallInteger, nullable=False),
        sa.Column("phone_hash", sa.LargeBinary(32), nullable=False),
        sa.Column("key_id", sa.String(64), nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sa.Column("source", sa.String(21), nullable=False),
        sa.Column("reference", sa.SmallInteger, nullable=False),
        sa.Column("parts", sa.SmallInteger, nullable=False),
        sa.Column("sent_parts", sa.SmallInteger, nullable=False),
        sa.Column("is_handed_over", sa.Boolean, nullable=False),
        sa.Column("maybe_twice", sa.Boolean, nullable=False),
        sa.Column("create_time", UtcDateTime, nullable=False),
        sa.Column("expire_time", UtcDateTime, nullable=False),
        sa.Column("next_try_time", UtcDateTime, nullable=False),
        sa.Column("send_time", UtcDateTime),
        sa.Column("deliver_time", UtcDateTime),
        sa.Column("erase_time", UtcDateTime, nullable=False),
    )
    op.create_index("messages_by_rank", "messages", ["state", "rank", "number"])
    op.create_index("messages_by_phone", "messages", ["phone_hash", "state", "rank", "number"])
    op.create_index("messages_by_erase_time", "messages", ["erase_time"])
    op.create_table(
        "taken_parts",
        sa.Column("number", _Number, primary_key=True),
        sa.Column(
            "message",
            _Number,
            sa.ForeignKey("messages.number", ondelete="CASCADE"),
            nullable=False,
        ),
        sa.Column("part", sa.SmallInteger, nullable=False),
        sa.Column("network_id", sa.String(64), nullable=False),
        sa.Column("outcome", sa.SmallInteger),
    )
    op.create_index("taken_parts_by_network_id", "taken_parts", ["network_id"])
    op.create_index("taken_parts_by_message", "taken_parts", ["message"])
    op.create_table(
        "early_receipts",
        sa.Column("number", _Number, primary_key=True),
        sa.Column("network_id", sa.String(64), nullable=False),
        sa.Column("phone_hash", sa.LargeBinary(32), nullable=False),
        sa.Column("outcome", sa.SmallInteger, nullable=False),
        sa.Column("receive_time", UtcDateTime, nullable=False),
    )
    op.create_index("early_receipts_by_network_id", "early_receipts", ["network_id"])
    op.create_index("early_receipts_by_time", "early_receipts", ["receive_time"])
    op.create_table(
        "received_parts",
        sa.Column("number", _Number, primary_key=True),
        sa.Column("digest", sa.LargeBinary(32), nullable=False),
        sa.Column("group_hash", sa.LargeBinary(32), nullable=False),
        sa.Column("part", sa.SmallInteger, nullable=False),
        sa.Column("key_id", sa.String(64)),
        sa.Column("sealed", sa.LargeBinary),
        sa.Column("receive_time", UtcDateTime, nullable=False),
    )
    op.create_index("received_parts_by_digest", "received_parts", ["digest"])
    op.create_index("received_parts_by_group", "received_parts", ["group_hash"])
    op.create_index("received_parts_by_time", "received_parts", ["receive_time"])
    op.create_table(
        "received_messages",
        sa.Column("number", _Number, primary_key=True),
        sa.Column("id", sa.String(36), nullable=False, unique=True),
        sa.Column("inbox", sa.SmallInteger, nullable=False),
        sa.Column("digest", sa.LargeBinary(32), nullable=False),
        sa.Column("key_id", sa.String(64), nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sa.Column("destination", sa.String(21), nullable=False),
        sa.Column("receive_time", UtcDateTime, nullable=False),
        sa.Column("lease_end_time", UtcDateTime),
        sa.Column("reader", sa.String(36)),
        sa.Column("end_time", UtcDateTime),
    )
    op.create_index(
        "received_messages_by_inbox", "received_messages", ["inbox", "end_time", "number"]
    )
    op.create_index("received_messages_by_digest", "received_messages", ["digest"])
    op.create_index("received_messages_by_end_time", "received_messages", ["end_time"])
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
