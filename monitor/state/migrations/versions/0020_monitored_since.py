"""Since when sensors that were paused are monitored again."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("sensor", sa.Column("monitored_since", sa.BigInteger()))
    op.execute(
        "UPDATE sensor SET monitored_since = "
        "(SELECT MAX(pause.stop) FROM pause WHERE pause.mac = sensor.mac)"
    )


def downgrade() -> None:
    op.drop_column("sensor", "monitored_since")
