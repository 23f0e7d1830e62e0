"""Challenges that confirmed an act."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("used_challenges", sa.Column("act", sa.LargeBinary(length=32)))
