"""People who log in, and who changed what."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0004"
branch_labels = None
depends_on = None

ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "user",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("name", sa.String(80), nullable=False),
        sa.Column("key", sa.String(240), nullable=False),
        sa.Column("email", sa.String(254)),
        sa.Column("password", sa.String(200)),
        sa.Column("role", sa.String(20), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("subject", sa.String(600)),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("last_login_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("id", name="pk_user"),
        sa.UniqueConstraint("key", name="uq_user_key"),
        sa.UniqueConstraint("email", name="uq_user_email"),
        sa.UniqueConstraint("subject", name="uq_user_subject"),
    )
    op.create_table(
        "login",
        sa.Column("digest", sa.LargeBinary(32), nullable=False),
        sa.Column("user_id", ROW_ID, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_login"),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name="fk_login_user_id"),
    )
    op.create_index("ix_login_user_id", "login", ["user_id"])
    op.create_table(
        "login_failure",
        sa.Column("digest", sa.LargeBinary(32), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("failed_at", sa.BigInteger(), nullable=False),
        sa.Column("blocked_until", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_login_failure"),
    )
    op.create_index("ix_login_failure_failed_at", "login_failure", ["failed_at"])
    op.create_table(
        "audit",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("who", sa.String(200), nullable=False),
        sa.Column("what", sa.String(80), nullable=False),
        sa.Column("subject", sa.String(300), nullable=False),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_audit"),
    )


def downgrade() -> None:
    for table in ("audit", "login_failure", "login", "user"):
        op.drop_table(table)
