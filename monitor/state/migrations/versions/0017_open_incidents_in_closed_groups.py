"""No open incident in a closed group: the group opens again, or its incidents join the open one."""

from alembic import op
from sqlalchemy import text

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

_MISPLACED = """
SELECT id, cohort, route FROM alert_group WHERE closed_at IS NOT NULL AND EXISTS (
    SELECT 1 FROM incident WHERE incident.group_id = alert_group.id AND incident.closed_at IS NULL)
ORDER BY id
"""
_OPEN = "SELECT id FROM alert_group WHERE cohort = :cohort AND route = :route AND closed_at IS NULL"
_JOIN = "UPDATE incident SET group_id = :open WHERE group_id = :closed AND closed_at IS NULL"


def upgrade() -> None:
    connection = op.get_bind()
    for group in connection.execute(text(_MISPLACED)).all():
        place = {"cohort": group.cohort, "route": group.route}
        open_group = connection.execute(text(_OPEN), place).scalar()
        if open_group is None:
            reopened = "UPDATE alert_group SET closed_at = NULL WHERE id = :id"
            connection.execute(text(reopened), {"id": group.id})
        else:
            connection.execute(text(_JOIN), {"open": open_group, "closed": group.id})


def downgrade() -> None:
    """What was wrong before stays right."""
