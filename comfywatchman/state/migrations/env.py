"""Lets alembic work on the connection that `comfywatchman.state.migrate` made."""

from __future__ import annotations

from alembic import context

from comfywatchman.state.schema import metadata

engine = context.config.attributes["engine"]
with engine.begin() as connection:
    context.configure(
        connection=connection,
        target_metadata=metadata,
        render_as_batch=True,
        transactional_ddl=True,
        transaction_per_migration=False,
    )
    context.run_migrations()
