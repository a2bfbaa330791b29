"""The topic that a frame lies in, where frames come from several; empty in older rows: the first of them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add it."""
    op.add_column("decisions", sa.Column("frames_topic", sa.String(249)))
