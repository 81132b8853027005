"""One recipient is one delivery, with its own health."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("notification", sa.Column("recipient", sa.String(320)))
    with op.batch_alter_table("channel_health") as health:
        health.add_column(sa.Column("recipient", sa.String(320), nullable=False, server_default=""))
        health.drop_constraint("pk_channel_health", type_="primary")
        health.create_primary_key("pk_channel_health", ["name", "recipient"])


def downgrade() -> None:
    op.execute("DELETE FROM channel_health WHERE recipient <> ''")
    with op.batch_alter_table("channel_health") as health:
        health.drop_constraint("pk_channel_health", type_="primary")
        health.create_primary_key("pk_channel_health", ["name"])
        health.drop_column("recipient")
    op.drop_column("notification", "recipient")
