"""When what stands was last sent again on each channel."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    renewed_at = sa.Column("renewed_at", sa.BigInteger(), nullable=False, server_default="0")
    op.add_column("channel_health", renewed_at)


def downgrade() -> None:
    op.drop_column("channel_health", "renewed_at")
