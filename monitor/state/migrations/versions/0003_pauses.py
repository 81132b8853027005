"""When sensors were paused, for figures of uptime."""

import time

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "pause",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("mac", sa.BigInteger(), nullable=False),
        sa.Column("start", sa.BigInteger(), nullable=False),
        sa.Column("stop", sa.BigInteger()),
        sa.PrimaryKeyConstraint("id", name="pk_pause"),
    )
    op.create_index("ix_pause_mac", "pause", ["mac"])
    # Since when is not known of these.
    paused = sa.text("INSERT INTO pause (mac, start) SELECT mac, :now FROM sensor WHERE paused")
    op.execute(paused.bindparams(now=time.time_ns() // 1_000_000))


def downgrade() -> None:
    op.drop_table("pause")
