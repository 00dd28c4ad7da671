"""What was changed outside, as pipelines and people tell it."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """One table."""
    op.create_table(
        "changes",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False, primary_key=True),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("told_at", sa.BigInteger(), nullable=False),
        sa.Column("told_by", sa.Text(), nullable=False),
        sa.Column("changed", sa.Text(), nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("changes_key", "changes", ["key"], unique=True)
    op.create_index("changes_subject", "changes", ["subject", "at"])
    op.create_index("changes_at", "changes", ["at"])
