"""The schema of the messaging service's database.

Numbers and contents are in sealed columns only, beside keyed hashes that find them.
"""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    Column,
    ForeignKey,
    Index,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
)

from services.runtime.storage.database import RowNumber, UtcDateTime
from services.runtime.storage.idempotency import requests_table

metadata = MetaData()

messages = Table(
    "messages",
    metadata,
    # The order in which messages were stored.
    Column("number", RowNumber, primary_key=True),
    Column("id", String(36), nullable=False, unique=True),
    # The service that sends it.
    Column("service", String(20), nullable=False),
    Column("state", SmallInteger, nullable=False),
    Column("priority", SmallInteger, nullable=False),
    # What goes first: the priority, and 0 once the network has taken a part.
    Column("rank", SmallInteger, nullable=False),
    Column("phone_hash", LargeBinary(32), nullable=False),
    Column("key_id", String(64), nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("source", String(21), nullable=False),
    # Of the concatenation, counted for each phone.
    Column("reference", SmallInteger, nullable=False),
    Column("parts", SmallInteger, nullable=False),
    Column("sent_parts", SmallInteger, nullable=False),
    # Whether a part is with the network and not answered.
    Column("is_handed_over", Boolean, nullable=False),
    Column("maybe_twice", Boolean, nullable=False),
    Column("create_time", UtcDateTime, nullable=False),
    Column("expire_time", UtcDateTime, nullable=False),
    Column("next_try_time", UtcDateTime, nullable=False),
    Column("send_time", UtcDateTime),
    Column("deliver_time", UtcDateTime),
    Column("erase_time", UtcDateTime, nullable=False),
    Index("messages_by_rank", "state", "rank", "number"),
    Index("messages_by_phone", "phone_hash", "state", "rank", "number"),
    Index("messages_by_erase_time", "erase_time"),
)

# The parts that the network took, by the id that it gave each.
taken_parts = Table(
    "taken_parts",
    metadata,
    Column("number", RowNumber, primary_key=True),
    Column("message", ForeignKey("messages.number", ondelete="CASCADE"), nullable=False),
    Column("part", SmallInteger, nullable=False),
    Column("network_id", String(64), nullable=False),
    # NULL until a receipt says.
    Column("outcome", SmallInteger),
    Index("taken_parts_by_network_id", "network_id"),
    Index("taken_parts_by_message", "message"),
)

# Receipts whose part is not known: they came before the answer that names it.
early_receipts = Table(
    "early_receipts",
    metadata,
    Column("number", RowNumber, primary_key=True),
    Column("network_id", String(64), nullable=False),
    Column("phone_hash", LargeBinary(32), nullable=False),
    Column("outcome", SmallInteger, nullable=False),
    Column("receive_time", UtcDateTime, nullable=False),
    Index("early_receipts_by_network_id", "network_id"),
    Index("early_receipts_by_time", "receive_time"),
)

# Parts of longer messages, until all are there, and what of them tells a repeat for a while.
received_parts = Table(
    "received_parts",
    metadata,
    Column("number", RowNumber, primary_key=True),
    # Of the part's bytes.
    Column("digest", LargeBinary(32), nullable=False),
    # Of what its parts have in common.
    Column("group_hash", LargeBinary(32), nullable=False),
    Column("part", SmallInteger, nullable=False),
    # Both NULL once the message is whole.
    Column("key_id", String(64)),
    Column("sealed", LargeBinary),
    Column("receive_time", UtcDateTime, nullable=False),
    Index("received_parts_by_digest", "digest"),
    Index("received_parts_by_group", "group_hash"),
    Index("received_parts_by_time", "receive_time"),
)

received_messages = Table(
    "received_messages",
    metadata,
    # The order in which they are read.
    Column("number", RowNumber, primary_key=True),
    Column("id", String(36), nullable=False, unique=True),
    Column("inbox", SmallInteger, nullable=False),
    # Of number, destination and content.
    Column("digest", LargeBinary(32), nullable=False),
    Column("key_id", String(64), nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("destination", String(21), nullable=False),
    Column("receive_time", UtcDateTime, nullable=False),
    # Until when, and by which stream, it is being read.
    Column("lease_end_time", UtcDateTime),
    Column("reader", String(36)),
    # When a reader had dealt with it.
    Column("end_time", UtcDateTime),
    Index("received_messages_by_inbox", "inbox", "end_time", "number"),
    Index("received_messages_by_digest", "digest"),
    Index("received_messages_by_end_time", "end_time"),
)

requests = requests_table(metadata)
