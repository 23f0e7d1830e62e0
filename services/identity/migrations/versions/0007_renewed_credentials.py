"""Credentials of services that were renewed sign in for a while only."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from services.runtime.storage.database import UtcDateTime

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.add_column("certificates", sa.Column("sign_in_end_time", UtcDateTime(), nullable=True))
