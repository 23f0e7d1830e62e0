"""Keys of SIMs, sessions of mobile signatures, and how far phones' notices are acted on."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from services.runtime.storage.database import UtcDateTime

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "sim_keys",
        sa.Column("sim", sa.String(36), primary_key=True),
        sa.Column("counter", sa.BigInteger, nullable=False),
        sa.Column("wrapping_key_id", sa.String(64), nullable=False),
        sa.Column("sealed_key", sa.LargeBinary, nullable=False),
    )
    op.create_index("sim_keys_by_wrapping_key", "sim_keys", ["wrapping_key_id"])
    op.create_table(
        "mobile_signatures",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("request_key", sa.String(128), unique=True),
        sa.Column("subject", sa.String(80), nullable=False),
        sa.Column("requester", sa.String(80), nullable=False),
        sa.Column("purpose", sa.SmallInteger, nullable=False),
        sa.Column("state", sa.SmallInteger, nullable=False),
        sa.Column("outcome", sa.SmallInteger, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("code", sa.String(4), nullable=False),
        sa.Column("nonce", sa.LargeBinary(8), nullable=False),
        sa.Column("phone", sa.String(120), nullable=False),
        sa.Column("sim", sa.String(36), nullable=False),
        sa.Column("counter", sa.BigInteger, nullable=False),
        sa.Column("open_subject", sa.String(80), unique=True),
        sa.Column("open_sim", sa.String(36), unique=True),
        sa.Column("wrapping_key_id", sa.String(64)),
        sa.Column("sealed", sa.LargeBinary),
        sa.Column("digest", sa.LargeBinary(32)),
        sa.Column("signature", sa.LargeBinary),
        sa.Column("certificate", sa.LargeBinary),
        sa.Column("message", sa.String(64), nullable=False),
        sa.Column("look_time", UtcDateTime),
        sa.Column("create_time", UtcDateTime, nullable=False),
        sa.Column("expire_time", UtcDateTime, nullable=False),
        sa.Column("end_time", UtcDateTime),
        sa.Column("is_erased", sa.Boolean, nullable=False),
    )
    op.create_index("mobile_signatures_by_subject", "mobile_signatures", ["subject", "id"])
    op.create_index("mobile_signatures_by_sim", "mobile_signatures", ["sim", "id"])
    op.create_index("mobile_signatures_by_nonce", "mobile_signatures", ["nonce"])
    op.create_index("mobile_signatures_by_look_time", "mobile_signatures", ["look_time"])
    op.create_index("mobile_signatures_by_erasure", "mobile_signatures", ["is_erased", "end_time"])
    phone_notices = op.create_table(
        "phone_notices",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("through", sa.BigInteger, nullable=False),
    )
    op.bulk_insert(phone_notices, [{"id": 1, "through": 0}])
