"""Which dependency held an incident back when it was raised, so that several share one page."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """A column that is empty for all that was raised before, and an index of the others."""
    op.add_column("raises", sa.Column("dependency", sa.Text(), nullable=False, server_default=""))
    condition = sa.text("dependency > ''")
    op.create_index("raises_dependency", "raises", ["dependency"], sqlite_where=condition, postgresql_where=condition)
