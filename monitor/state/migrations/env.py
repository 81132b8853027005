"""Runs migrations inside the transaction that monitor.state.database.migrate opened."""

from alembic import context

from monitor.state import access_tables  # noqa: F401 (tables of the same metadata)
from monitor.state.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
