"""The first tables.

`decisions` is partitioned by day on PostgreSQL; its partitions are made as decisions come.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

VIEW = sa.String(401)


def upgrade() -> None:
    """Make them."""
    _decisions()
    _summaries()
    for name in ("bank_events", "drift_events", "words"):
        op.create_table(
            name,
            sa.Column("offset", sa.BigInteger, primary_key=True, autoincrement=False),
            sa.Column("view", VIEW, nullable=False),
            sa.Column("at", sa.BigInteger, nullable=False),
            sa.Column("message", sa.Text, nullable=False),
        )
        op.create_index(f"{name}_view", name, ["view", "at"])
    op.create_table(
        "users",
        sa.Column("name", sa.String(100), primary_key=True),
        sa.Column("role", sa.String(10), nullable=False),
        sa.Column("password_hash", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "secrets",
        sa.Column("name", sa.String(40), primary_key=True),
        sa.Column("value", sa.Text, nullable=False),
    )


def _decisions() -> None:
    op.create_table(
        "decisions",
        sa.Column("decided_at", sa.BigInteger, primary_key=True),
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("view", VIEW, nullable=False),
        sa.Column("verdict", sa.String(9), nullable=False),
        sa.Column("reason", sa.String(20)),
        sa.Column("provisional", sa.Boolean, nullable=False),
        sa.Column("score", sa.Float),
        sa.Column("threshold", sa.Float),
        sa.Column("score_ratio", sa.Float),
        sa.Column("bank", sa.String(64)),
        sa.Column("epoch", sa.Integer),
        sa.Column("frame_id", sa.String(256), nullable=False),
        sa.Column("part_serial", sa.Text),
        sa.Column("frames_partition", sa.Integer, nullable=False),
        sa.Column("frames_offset", sa.BigInteger, nullable=False),
        sa.Column("picture", sa.String(8), nullable=False),
        sa.Column("picture_bytes", sa.Integer, nullable=False),
        sa.Column("whole", sa.LargeBinary, nullable=False),
        postgresql_partition_by="RANGE (decided_at)",
    )
    op.create_index("decisions_id", "decisions", ["id"])
    op.create_index("decisions_view", "decisions", ["view", "decided_at"])
    op.create_index("decisions_view_verdict", "decisions", ["view", "verdict", "decided_at"])
    for name, columns, only in (
        ("decisions_part", ["part_serial"], "part_serial IS NOT NULL"),
        ("decisions_waiting", ["decided_at"], "picture = 'waiting'"),
        ("decisions_kept", ["verdict", "decided_at"], "picture = 'kept'"),
    ):
        op.create_index(name, "decisions", columns, sqlite_where=sa.text(only), postgresql_where=sa.text(only))


def _summaries() -> None:
    op.create_table(
        "minutes",
        sa.Column("view", VIEW, primary_key=True),
        sa.Column("minute", sa.BigInteger, primary_key=True),
        *(sa.Column(name, sa.Integer, nullable=False) for name in ("passed", "failed", "undecided", "scored")),
        *(sa.Column(name, sa.Float, nullable=False) for name in ("ratio_sum", "ratio_max")),
        sa.Column("pictured", sa.Integer, nullable=False),
        *(sa.Column(f"{name}_sum", sa.Float, nullable=False) for name in ("brightness", "contrast", "sharpness")),
    )
    op.create_table(
        "views",
        sa.Column("view", VIEW, primary_key=True),
        sa.Column("first_at", sa.BigInteger, nullable=False),
        sa.Column("last_at", sa.BigInteger, nullable=False),
        sa.Column("last_id", sa.String(64), nullable=False),
        sa.Column("last_verdict", sa.String(9), nullable=False),
        sa.Column("last_ratio", sa.Float),
        sa.Column("last_fail_at", sa.BigInteger),
        sa.Column("last_fail_id", sa.String(64)),
        sa.Column("picture_at", sa.BigInteger),
        sa.Column("picture_id", sa.String(64)),
    )
    op.create_table(
        "bank_states",
        sa.Column("view", VIEW, primary_key=True),
        sa.Column("epoch", sa.Integer, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("message", sa.Text, nullable=False),
    )
