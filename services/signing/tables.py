"""The schema of the signing service's database."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
)

from services.runtime.storage.database import UtcDateTime
from services.runtime.storage.idempotency import requests_table

metadata = MetaData()

keys = Table(
    "keys",
    metadata,
    Column("id", String(63), primary_key=True),
    Column("organization", String(80), nullable=False),
    Column("algorithm", SmallInteger, nullable=False),
    Column("primary_version", Integer, nullable=False),
    Column("create_time", UtcDateTime, nullable=False),
    Index("keys_by_organization", "organization", "id"),
)

key_versions = Table(
    "key_versions",
    metadata,
    Column("key_id", ForeignKey("keys.id"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("public_key", LargeBinary, nullable=False),
    Column("state", SmallInteger, nullable=False),
    Column("create_time", UtcDateTime, nullable=False),
    # Both NULL once the version is destroyed.
    Column("wrapping_key_id", String(64)),
    Column("sealed_private_key", LargeBinary),
    Index("key_versions_by_wrapping_key", "wrapping_key_id"),
)

# Keys that SIMs' packets are authenticated with.
sim_keys = Table(
    "sim_keys",
    metadata,
    # Identity's id of the card.
    Column("sim", String(36), primary_key=True),
    # Of the last packet that was written for the card.
    Column("counter", BigInteger, nullable=False),
    Column("wrapping_key_id", String(64), nullable=False),
    Column("sealed_key", LargeBinary, nullable=False),
    Index("sim_keys_by_wrapping_key", "wrapping_key_id"),
)

mobile_signatures = Table(
    "mobile_signatures",
    metadata,
    # UUIDv7: in the order of creation.
    Column("id", String(36), primary_key=True),
    # Of the caller's scope and request_id.
    Column("request_key", String(128), unique=True),
    Column("subject", String(80), nullable=False),
    # Empty where the platform asked by itself.
    Column("requester", String(80), nullable=False),
    Column("purpose", SmallInteger, nullable=False),
    Column("state", SmallInteger, nullable=False),
    Column("outcome", SmallInteger, nullable=False),
    # Rises with each change of the state.
    Column("revision", Integer, nullable=False),
    Column("code", String(4), nullable=False),
    Column("nonce", LargeBinary(8), nullable=False),
    # Empty, and the counter 0, where there is no phone.
    Column("phone", String(120), nullable=False),
    Column("sim", String(36), nullable=False),
    Column("counter", BigInteger, nullable=False),
    # The session is open with them; NULL once it has ended.
    Column("open_subject", String(80), unique=True),
    Column("open_sim", String(36), unique=True),
    # Number and text, sealed. NULL, as digest, signature and certificate, once erased.
    Column("wrapping_key_id", String(64)),
    Column("sealed", LargeBinary),
    Column("digest", LargeBinary(32)),
    Column("signature", LargeBinary),
    Column("certificate", LargeBinary),
    # Messaging's name of the request, "" until it has it.
    Column("message", String(64), nullable=False),
    # When messaging is next asked what became of it; NULL if not any more.
    Column("look_time", UtcDateTime),
    Column("create_time", UtcDateTime, nullable=False),
    Column("expire_time", UtcDateTime, nullable=False),
    Column("end_time", UtcDateTime),
    Column("is_erased", Boolean, nullable=False),
    Index("mobile_signatures_by_subject", "subject", "id"),
    Index("mobile_signatures_by_sim", "sim", "id"),
    Index("mobile_signatures_by_nonce", "nonce"),
    Index("mobile_signatures_by_look_time", "look_time"),
    Index("mobile_signatures_by_erasure", "is_erased", "end_time"),
)

# How far identity's notices of phones are acted on: one row.
phone_notices = Table(
    "phone_notices",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("through", BigInteger, nullable=False),
)

# Sign-ins by phone, kept for a day, while they count for their number's limits.
phone_sign_ins = Table(
    "phone_sign_ins",
    metadata,
    # SHA-256 of the secret in its name, in hex.
    Column("id", String(64), primary_key=True),
    # Identity's keyed hash of the number.
    Column("number_key", String(64), nullable=False),
    # The number's sign-in that waits; NULL once it does not.
    Column("open_number", String(64), unique=True),
    # Id of the mobile signature's session; empty where no phone was asked.
    Column("session", String(36), nullable=False),
    Column("code", String(4), nullable=False),
    Column("wrapping_key_id", String(64), nullable=False),
    Column("sealed_challenge", LargeBinary, nullable=False),
    Column("create_time", UtcDateTime, nullable=False),
    Column("expire_time", UtcDateTime, nullable=False),
    Index("phone_sign_ins_by_number", "number_key", "create_time"),
    Index("phone_sign_ins_by_time", "create_time"),
)

# The challenges in the lines that SIMs sign to confirm acts, for some minutes.
act_challenges = Table(
    "act_challenges",
    metadata,
    # Id of the mobile signature's session.
    Column("session", String(36), primary_key=True),
    Column("challenge", LargeBinary, nullable=False),
    Column("create_time", UtcDateTime, nullable=False),
    Index("act_challenges_by_time", "create_time"),
)

requests = requests_table(metadata)
