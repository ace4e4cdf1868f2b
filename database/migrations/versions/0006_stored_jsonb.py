"""Stored JSONB as bytes, for the exporter, which reads columns out of it (`exporter/jsonb.py`).

Both types are one run of bytes to PostgreSQL, so the cast does nothing; it has to be asked for
explicitly. Only a superuser may declare that: where we are none, PostgreSQL picks the columns.
"""

from alembic import op

revision = "0006"
down_revision = "0005"

DECLARE_CAST = """
DO $$ BEGIN
  CREATE CAST (jsonb AS bytea) WITHOUT FUNCTION;
EXCEPTION
  WHEN insufficient_privilege OR duplicate_object THEN
    RAISE NOTICE 'no cast from jsonb to bytea: %', SQLERRM;
END $$
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '10s'")
    op.execute(DECLARE_CAST)


def downgrade() -> None:
    op.execute("DROP CAST IF EXISTS (jsonb AS bytea)")
