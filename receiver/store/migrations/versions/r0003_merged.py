"""Which incidents were merged into one, found without reading all of them."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """One index."""
    condition = sa.text("merged_into IS NOT NULL")
    op.create_index("incidents_merged", "incidents", ["merged_into"], sqlite_where=condition, postgresql_where=condition)
