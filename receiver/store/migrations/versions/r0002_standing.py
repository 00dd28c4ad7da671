"""What people did by hand and still have to take back."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """One table."""
    key = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "standing",
        sa.Column("incident_id", key, sa.ForeignKey("incidents.id"), nullable=False, primary_key=True, autoincrement=False),
        sa.Column("name", sa.Text(), nullable=False, primary_key=True),
        sa.Column("done_at", sa.BigInteger(), nullable=False),
        sa.Column("open", sa.SmallInteger(), nullable=False),
        sa.Column("standing", sa.Text(), nullable=False),
    )
    condition = sa.text("open = 1")
    op.create_index("standing_open", "standing", ["incident_id"], sqlite_where=condition, postgresql_where=condition)
