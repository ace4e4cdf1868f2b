"""Alembic's entry: runs the migrations on the connection that `migrate` hands over."""

from alembic import context
from sqlalchemy import text

from database.recording_tables import metadata

MIGRATION_LOCK = 7_261_019_247

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata, transactional_ddl=True)
with context.begin_transaction():
    # Several processes may start at once; the second finds the work done.
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
    connection.execute(text("SET LOCAL lock_timeout = '10s'"))
    context.run_migrations()
