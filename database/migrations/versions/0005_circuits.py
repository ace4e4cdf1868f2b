"""Circuits, what the last attempts came to and uploaded, and what the exporter sees."""

from alembic import op

revision = "0005"
down_revision = "0004"

STATEMENTS = (
    """
    CREATE TABLE sinks (
      sink text PRIMARY KEY,
      circuit text NOT NULL DEFAULT 'closed',
      since timestamptz NOT NULL DEFAULT now(),
      reason text,
      probe_at timestamptz,
      CONSTRAINT sink_circuit CHECK (circuit IN ('closed', 'open', 'paused'))
    )
    """,
    "INSERT INTO sinks (sink) SELECT sink FROM deliveries UNION SELECT sink FROM delivery_totals",
    """
    CREATE TABLE delivery_attempts (
      attempt_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
      sink text NOT NULL,
      segment_id bigint NOT NULL,
      started_at timestamptz NOT NULL,
      ended_at timestamptz NOT NULL,
      error text
    )
    """,
    "CREATE INDEX delivery_attempts_by_sink ON delivery_attempts (sink, attempt_id)",
    """
    CREATE TABLE planned_objects (
      sink text NOT NULL,
      segment_id bigint NOT NULL,
      key text NOT NULL,
      error text,
      PRIMARY KEY (sink, segment_id, key)
    )
    """,
    "ALTER TABLE exporter_state ADD COLUMN seen jsonb NOT NULL DEFAULT '{}'",
)


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '10s'")
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise RuntimeError("There is no way back: which objects are orphans would be forgotten.")
