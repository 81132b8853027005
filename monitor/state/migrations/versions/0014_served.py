"""When a notifier last served each channel."""

import time

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    served_at = sa.Column("served_at", sa.BigInteger(), nullable=False, server_default="0")
    op.add_column("channel_health", served_at)
    # As if served just now: no notifier has had the time to note it.
    served = sa.text("UPDATE channel_health SET served_at = :now")
    op.execute(served.bindparams(now=time.time_ns() // 1_000_000))


def downgrade() -> None:
    op.drop_column("channel_health", "served_at")
