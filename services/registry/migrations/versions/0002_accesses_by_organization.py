"""An organization lists its own accesses."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_index("accesses_by_organization", "accesses", ["organization", "name"])
