"""Tests of sinks: asked for by the API, carried out by the exporter."""

from alembic import op

revision = "0007"
down_revision = "0006"

STATEMENTS = (
    """
    CREATE TABLE sink_tests (
      test_id uuid PRIMARY KEY,
      sink text NOT NULL,
      requested_at timestamptz NOT NULL,
      started_at timestamptz,
      finished_at timestamptz,
      steps jsonb NOT NULL DEFAULT '[]'
    )
    """,
)


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '10s'")
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP TABLE sink_tests")
