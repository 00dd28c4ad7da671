"""Run by Alembic: the connection, and the transaction around it, are the caller's (`schema_state.py`)."""

from alembic import context

from receiver.store.schema import METADATA

context.configure(connection=context.config.attributes["connection"], target_metadata=METADATA, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
