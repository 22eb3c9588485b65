"""Alembic's entry point. Boardline runs it in process on a connection of its own (``pipeline.migrate``)."""

from __future__ import annotations

from alembic import context

from pipeline.tables import METADATA

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=METADATA,
    render_as_batch=connection.dialect.name == "sqlite",
    transaction_per_migration=False,
)
context.run_migrations()
