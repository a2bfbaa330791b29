"""What has no column is all that is kept of a decision's message; older rows go on to hold the whole of it."""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Name the column so."""
    op.execute("ALTER TABLE decisions RENAME COLUMN whole TO rest")
