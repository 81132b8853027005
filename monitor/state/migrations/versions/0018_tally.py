"""Counts for metrics that outlive the rows they count, and what retention looks up."""

import json
from collections.abc import Iterable

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
INDEXES = {
    "incident": ["closed_at", "id"],
    "notification": ["finished_at"],
    "alert_group": ["closed_at"],
    "pause": ["stop"],
    "audit": ["at"],
}

TALLY = sa.table("tally", sa.column("name"), sa.column("labels"), sa.column("amount"))
BOUNDS = (1, 2, 5, 10, 15, 30, 45, 60, 90, 120, 300, 600, 1_800, 3_600)

GROUPS = {
    "opened": "SELECT CASE WHEN proven THEN 'proven' ELSE 'presumed' END, count(*) "
    "FROM incident GROUP BY 1",
    "closed": "SELECT closed_reason, count(*) FROM incident WHERE closed_at IS NOT NULL "
    "GROUP BY closed_reason",
    "finished": "SELECT channel, kind, state, count(*) FROM notification "
    "WHERE state NOT IN ('pending', 'claimed') GROUP BY channel, kind, state",
    "attempts": "SELECT channel, result, count(*) FROM attempt "
    "JOIN notification ON notification.id = notification_id GROUP BY channel, result",
    "suppressions": "SELECT channel, kind, count(*) FROM suppression GROUP BY channel, kind",
    "blind": "SELECT sum(stop - start) FROM blind_window WHERE start > 0",
}
DELIVERED = """
FROM notification JOIN notification_incident ON notification_id = notification.id
JOIN incident ON incident.id = incident_id
WHERE notification.kind = 'down' AND notification.state = 'sent' AND delay = 0 AND NOT EXISTS (
    SELECT 1 FROM suppression WHERE suppression.incident_id = incident.id
    AND suppression.channel = notification.channel AND suppression.kind = 'down')
"""
LATENCIES = {
    "decided": ("", "opened_at - last_seen - threshold", "FROM incident"),
    "delivered": ("channel, ", "finished_at - opened_at", DELIVERED),
    "told": ("channel, ", "finished_at - last_seen - threshold", DELIVERED),
}


def upgrade() -> None:
    op.create_table(
        "tally",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("name", sa.String(40), nullable=False),
        sa.Column("labels", sa.String(400), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_tally"),
    )
    for table, columns in INDEXES.items():
        op.create_index(f"ix_{table}_{'_'.join(columns)}", table, columns)
    count(op.get_bind())


def downgrade() -> None:
    for table, columns in INDEXES.items():
        op.drop_index(f"ix_{table}_{'_'.join(columns)}", table)
    op.drop_table("tally")


def count(connection: sa.Connection) -> None:
    """Count what is there, so that no counter begins anew."""
    for name, query in GROUPS.items():
        for *labels, amount in connection.execute(sa.text(query)):
            _add(connection, name, labels, amount)
    for name, (by, latency, rows) in LATENCIES.items():
        whens = " ".join(f"WHEN {latency} <= {b * 1_000} THEN '{n}'" for n, b in enumerate(BOUNDS))
        bucket = f"CASE {whens} ELSE '{len(BOUNDS)}' END"
        query = f"SELECT {by}{bucket}, count(*), sum({latency}) {rows} GROUP BY {by}{bucket}"
        for *labels, place, number, total in connection.execute(sa.text(query)):
            _add(connection, name, [*labels, place], number)
            _add(connection, name, [*labels, "total"], total)


def _add(connection: sa.Connection, name: str, labels: Iterable[str], amount: int | None) -> None:
    if amount:
        row = {"name": name, "labels": json.dumps([*labels], ensure_ascii=False)}
        connection.execute(TALLY.insert().values(amount=int(amount), **row))
