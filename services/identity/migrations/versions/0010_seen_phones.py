"""When a phone's SIM was last seen."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from services.runtime.storage.database import UtcDateTime

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.add_column("phones", sa.Column("seen_time", UtcDateTime()))
    op.create_index("phones_by_seen_time", "phones", ["state", "seen_time"])
    # Bound ones: they were seen then, and nobody knows of later.
    op.execute("UPDATE phones SET seen_time = create_time WHERE state = 3")
