"""Changed sensors are read some at a time."""

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_sensor_version_mac", "sensor", ["version", "mac"])
    op.drop_index("ix_sensor_version", "sensor")


def downgrade() -> None:
    op.create_index("ix_sensor_version", "sensor", ["version"])
    op.drop_index("ix_sensor_version_mac", "sensor")
