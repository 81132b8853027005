"""Refused heartbeats are recorded."""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "refusal",
        sa.Column("mac", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.String(20), nullable=False),
        sa.PrimaryKeyConstraint("mac", name="pk_refusal"),
    )
    op.create_index("ix_refusal_at", "refusal", ["at"])
    op.create_table(
        "refused_count",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.String(20), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_refused_count"),
    )
    op.create_index("ix_refused_count_at", "refused_count", ["at"])


def downgrade() -> None:
    op.drop_table("refused_count")
    op.drop_table("refusal")
