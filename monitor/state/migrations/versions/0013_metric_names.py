"""Names of metrics that are no longer sent become free."""

import time

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("metric", sa.Column("brought_by", sa.BigInteger()))
    op.add_column(
        "metric", sa.Column("last_sent_at", sa.BigInteger(), nullable=False, server_default="0")
    )
    sent = sa.text("UPDATE metric SET last_sent_at = :now")
    op.execute(sent.bindparams(now=time.time_ns() // 1_000_000))


def downgrade() -> None:
    op.drop_column("metric", "last_sent_at")
    op.drop_column("metric", "brought_by")
