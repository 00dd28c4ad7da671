"""What an incident waits on besides its date, so that the end of a hold or of an attempt wakes it."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """A column that is empty for all that waits already (its date stays), and an index of the others."""
    op.add_column("agenda", sa.Column("waits_on", sa.Text(), nullable=False, server_default=""))
    condition = sa.text("waits_on > ''")
    op.create_index("agenda_waiting", "agenda", ["rank", "due"], sqlite_where=condition, postgresql_where=condition)
