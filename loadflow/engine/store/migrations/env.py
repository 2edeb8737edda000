"""Runs the migrations on the connection, and in the transaction, that `loadflow.engine.store.migrate` opened."""

from __future__ import annotations

from alembic import context

from loadflow.engine.store.schema import VERSION_TABLE, tables

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=tables,
    version_table=VERSION_TABLE,
    transactional_ddl=False,  # the transaction is the caller's
)
context.run_migrations()
