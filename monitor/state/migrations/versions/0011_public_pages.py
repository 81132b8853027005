"""Status pages for everybody who has their link."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "public_page",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("title", sa.String(100), nullable=False),
        sa.Column("sites", sa.JSON(none_as_null=True)),
        sa.Column("names", sa.Boolean(), nullable=False),
        sa.Column("key", sa.String(22), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_public_page"),
        sa.UniqueConstraint("key", name="uq_public_page_key"),
    )


def downgrade() -> None:
    op.drop_table("public_page")
