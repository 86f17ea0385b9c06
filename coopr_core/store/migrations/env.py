"""Runs migrations on the connection, and in the transaction, that ``coopr_core.store.migration`` opened."""

from alembic import context

from coopr_core.store import indexes  # noqa: F401  # part of the metadata
from coopr_core.store.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,
    render_as_batch=True,
)
context.run_migrations()
