"""Requests to deliver a window once more, into a set of objects of its own."""

from alembic import op

revision = "0009"
down_revision = "0008"

STATEMENTS = (
    """
    CREATE TABLE backfills (
      backfill_id uuid PRIMARY KEY,
      requested_at timestamptz NOT NULL DEFAULT now(),
      from_at timestamptz NOT NULL,
      to_at timestamptz NOT NULL,
      sink text NOT NULL,
      format text NOT NULL,
      state text NOT NULL DEFAULT 'requested',
      started_at timestamptz,
      finished_at timestamptz,
      next_attempt_at timestamptz NOT NULL DEFAULT now(),
      attempts integer NOT NULL DEFAULT 0,
      prefix text,
      segments integer,
      done_segments integer NOT NULL DEFAULT 0,
      done_through bigint NOT NULL DEFAULT 0,
      rows bigint NOT NULL DEFAULT 0,
      bytes bigint NOT NULL DEFAULT 0,
      objects bigint NOT NULL DEFAULT 0,
      last_error text,
      CONSTRAINT backfill_state CHECK (
        state IN ('requested', 'running', 'completed', 'failed', 'cancelled')),
      CONSTRAINT backfill_window CHECK (from_at < to_at)
    )
    """,
)


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '10s'")
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP TABLE backfills")
