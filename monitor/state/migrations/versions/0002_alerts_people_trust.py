"""Routes, channels, silences, maintenance, and why someone was or was not notified."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
STILL_OPEN: dict[str, Any] = {
    "sqlite_where": sa.text("closed_at IS NULL"),
    "postgresql_where": sa.text("closed_at IS NULL"),
}


def added() -> dict[str, list[sa.Column[Any]]]:
    return {
        "alert_group": [sa.Column("route", sa.String(80), nullable=False, server_default="")],
        "incident": [
            sa.Column("usual_interval", sa.BigInteger()),
            sa.Column("flapping_since", sa.BigInteger()),
            sa.Column("acknowledged_by", sa.String(200)),
        ],
        "notification": [
            sa.Column("delay", sa.BigInteger(), nullable=False, server_default="0"),
            sa.Column("held_until", sa.BigInteger()),
        ],
        "token": [sa.Column("role", sa.String(20), nullable=False, server_default="ingest")],
    }


def upgrade() -> None:
    for table, columns in added().items():
        for column in columns:
            op.add_column(table, column)
    op.drop_index("ix_alert_group_one_open", "alert_group")
    op.create_index(
        "ix_alert_group_one_open", "alert_group", ["cohort", "route"], unique=True, **STILL_OPEN
    )
    op.create_table(
        "attempt",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("notification_id", ROW_ID, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("result", sa.String(20), nullable=False),
        sa.Column("detail", sa.Text()),
        sa.ForeignKeyConstraint(
            ["notification_id"], ["notification.id"], name="fk_attempt_notification_id"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_attempt"),
    )
    op.create_index("ix_attempt_notification_id", "attempt", ["notification_id"])
    op.create_table(
        "suppression",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("incident_id", ROW_ID, nullable=False),
        sa.Column("channel", sa.String(80), nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.String(300), nullable=False),
        sa.Column("until", sa.BigInteger()),
        sa.ForeignKeyConstraint(
            ["incident_id"], ["incident.id"], name="fk_suppression_incident_id"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_suppression"),
        sa.UniqueConstraint(
            "incident_id",
            "channel",
            "kind",
            "reason",
            name="uq_suppression_incident_id_channel_kind_reason",
        ),
    )
    op.create_index("ix_suppression_incident_id", "suppression", ["incident_id"])
    op.create_table(
        "channel",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("name", sa.String(80), nullable=False),
        sa.Column("kind", sa.String(40), nullable=False),
        sa.Column("settings", sa.JSON(), nullable=False),
        sa.Column("secrets", sa.LargeBinary()),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("is_default", sa.Boolean(), nullable=False),
        sa.Column("budget", sa.Integer()),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_channel"),
        sa.UniqueConstraint("name", name="uq_channel_name"),
    )
    op.create_table(
        "channel_health",
        sa.Column("name", sa.String(80), nullable=False),
        sa.Column("failing_since", sa.BigInteger()),
        sa.Column("reported_at", sa.BigInteger()),
        sa.Column("sent_at", sa.BigInteger()),
        sa.Column("error", sa.Text()),
        sa.Column("error_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("name", name="pk_channel_health"),
    )
    op.create_table(
        "route",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("name", sa.String(80), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("matchers", sa.JSON(), nullable=False),
        sa.Column("channels", sa.JSON(), nullable=False),
        sa.Column("escalate_to", sa.JSON(), nullable=False),
        sa.Column("escalate_after", sa.BigInteger()),
        sa.PrimaryKeyConstraint("id", name="pk_route"),
        sa.UniqueConstraint("name", name="uq_route_name"),
    )
    op.create_table(
        "silence",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("matchers", sa.JSON(), nullable=False),
        sa.Column("starts_at", sa.BigInteger(), nullable=False),
        sa.Column("ends_at", sa.BigInteger(), nullable=False),
        sa.Column("comment", sa.Text(), nullable=False),
        sa.Column("created_by", sa.String(200), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_silence"),
    )
    op.create_index("ix_silence_ends_at", "silence", ["ends_at"])
    op.create_table(
        "maintenance",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("matchers", sa.JSON(), nullable=False),
        sa.Column("zone", sa.String(64), nullable=False),
        sa.Column("start", sa.String(16), nullable=False),
        sa.Column("stop", sa.String(16), nullable=False),
        sa.Column("recurrence", sa.String(500)),
        sa.Column("created_by", sa.String(200), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("id", name="pk_maintenance"),
    )
    op.create_table(
        "secret",
        sa.Column("name", sa.String(40), nullable=False),
        sa.Column("value", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_secret"),
    )


def downgrade() -> None:
    for table in (
        "secret",
        "maintenance",
        "silence",
        "route",
        "channel_health",
        "channel",
        "suppression",
        "attempt",
    ):
        op.drop_table(table)
    op.drop_index("ix_alert_group_one_open", "alert_group")
    for table, columns in added().items():
        for column in columns:
            op.drop_column(table, column.name)
    op.create_index("ix_alert_group_one_open", "alert_group", ["cohort"], unique=True, **STILL_OPEN)
