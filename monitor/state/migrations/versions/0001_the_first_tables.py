"""The first tables."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
STILL_OPEN: dict[str, Any] = {
    "sqlite_where": sa.text("closed_at IS NULL"),
    "postgresql_where": sa.text("closed_at IS NULL"),
}


def upgrade() -> None:
    op.create_table(
        "alert_group",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("cohort", sa.String(length=220), nullable=False),
        sa.Column("opened_at", sa.BigInteger(), nullable=False),
        sa.Column("closed_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("id", name="pk_alert_group"),
    )
    op.create_index("ix_alert_group_one_open", "alert_group", ["cohort"], unique=True, **STILL_OPEN)
    op.create_table(
        "blind_window",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("start", sa.BigInteger(), nullable=False),
        sa.Column("stop", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_blind_window"),
    )
    op.create_index("ix_blind_window_start", "blind_window", ["start"])
    op.create_table(
        "lease",
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("holder", sa.String(length=80), nullable=False),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_lease"),
    )
    op.create_table(
        "metric",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_metric"),
    )
    op.create_table(
        "sensor",
        sa.Column("mac", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("name", sa.String(length=200)),
        sa.Column("site", sa.String(length=200)),
        sa.Column("labels", sa.JSON(), nullable=False),
        sa.Column("threshold", sa.BigInteger()),
        sa.Column("first_seen", sa.BigInteger()),
        sa.Column("live", sa.Boolean(), nullable=False),
        sa.Column("paused", sa.Boolean(), nullable=False),
        sa.Column("forgotten_at", sa.BigInteger()),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("mac", name="pk_sensor"),
    )
    op.create_index("ix_sensor_version", "sensor", ["version"])
    op.create_table(
        "service",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("horizon", sa.BigInteger(), nullable=False),
        sa.Column("swept_at", sa.BigInteger(), nullable=False),
        sa.Column("arrival_position", sa.BigInteger()),
        sa.PrimaryKeyConstraint("id", name="pk_service"),
    )
    op.create_table(
        "source",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("open", sa.Boolean(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.Column("stalled_for", sa.BigInteger(), nullable=False),
        sa.Column("farewell", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_source"),
    )
    op.create_table(
        "token",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("revoked_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("id", name="pk_token"),
        sa.UniqueConstraint("digest", name="uq_token_digest"),
        sa.UniqueConstraint("name", name="uq_token_name"),
    )
    op.create_table(
        "incident",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("mac", sa.BigInteger(), nullable=False),
        sa.Column("last_seen", sa.BigInteger(), nullable=False),
        sa.Column("threshold", sa.BigInteger(), nullable=False),
        sa.Column("proven", sa.Boolean(), nullable=False),
        sa.Column("opened_at", sa.BigInteger(), nullable=False),
        sa.Column("acknowledged_at", sa.BigInteger()),
        sa.Column("closed_at", sa.BigInteger()),
        sa.Column("closed_reason", sa.String(length=40)),
        sa.Column("recovered_at", sa.BigInteger()),
        sa.Column("group_id", ROW_ID, nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["group_id"], ["alert_group.id"], name="fk_incident_group_id"),
        sa.PrimaryKeyConstraint("id", name="pk_incident"),
    )
    op.create_index("ix_incident_group_id", "incident", ["group_id"])
    op.create_index("ix_incident_mac", "incident", ["mac"])
    op.create_index("ix_incident_one_open", "incident", ["mac"], unique=True, **STILL_OPEN)
    op.create_index("ix_incident_version", "incident", ["version"])
    op.create_table(
        "notification",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("key", sa.String(length=80), nullable=False),
        sa.Column("group_id", ROW_ID, nullable=False),
        sa.Column("channel", sa.String(length=80), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_attempt_at", sa.BigInteger(), nullable=False),
        sa.Column("claimed_until", sa.BigInteger()),
        sa.Column("claimed_by", sa.String(length=80)),
        sa.Column("body", sa.JSON(none_as_null=True)),
        sa.Column("frozen_at", sa.BigInteger()),
        sa.Column("finished_at", sa.BigInteger()),
        sa.Column("outcome", sa.Text()),
        sa.ForeignKeyConstraint(["group_id"], ["alert_group.id"], name="fk_notification_group_id"),
        sa.PrimaryKeyConstraint("id", name="pk_notification"),
        sa.UniqueConstraint("key", name="uq_notification_key"),
    )
    op.create_index("ix_notification_due", "notification", ["state", "next_attempt_at"])
    op.create_index("ix_notification_group_id", "notification", ["group_id"])
    op.create_table(
        "notification_incident",
        sa.Column("notification_id", ROW_ID, nullable=False),
        sa.Column("incident_id", ROW_ID, nullable=False),
        sa.ForeignKeyConstraint(
            ["incident_id"], ["incident.id"], name="fk_notification_incident_incident_id"
        ),
        sa.ForeignKeyConstraint(
            ["notification_id"],
            ["notification.id"],
            name="fk_notification_incident_notification_id",
        ),
        sa.PrimaryKeyConstraint("notification_id", "incident_id", name="pk_notification_incident"),
    )
    op.create_index(
        "ix_notification_incident_incident_id", "notification_incident", ["incident_id"]
    )
    op.execute("INSERT INTO service (id, version, horizon, swept_at) VALUES (1, 0, 0, 0)")


def downgrade() -> None:
    for table in (
        "notification_incident",
        "notification",
        "incident",
        "token",
        "source",
        "service",
        "sensor",
        "metric",
        "lease",
        "blind_window",
        "alert_group",
    ):
        op.drop_table(table)
