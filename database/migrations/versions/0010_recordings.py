"""Recordings of sessions: their chunks, which of them are stored, and what became of them."""

from alembic import op

from database.fence import FENCE_KEY

revision = "0010"
down_revision = "0009"

STATEMENTS = (
    """
    CREATE TABLE recording_chunks (
      segment_id bigint NOT NULL,
      received_at timestamptz NOT NULL,
      site_id text NOT NULL,
      visitor_id text NOT NULL,
      user_id text,
      session_id text NOT NULL,
      recording_id text NOT NULL,
      sequence integer NOT NULL,
      started_at timestamptz NOT NULL,
      ended_at timestamptz NOT NULL,
      events integer NOT NULL,
      body bytea STORAGE EXTERNAL NOT NULL
    ) PARTITION BY LIST (segment_id)
    """,
    """
    CREATE TABLE recordings (
      site_id text, session_id text, recording_id text,
      visitor_id text NOT NULL,
      sequences int4multirange NOT NULL,
      last_chunk_at timestamptz NOT NULL,
      PRIMARY KEY (site_id, session_id, recording_id)
    )
    """,
    """
    CREATE TABLE recording_ledger (
      segment_id bigint, site_id text, outcome text,
      chunks bigint NOT NULL,
      bytes bigint NOT NULL,
      PRIMARY KEY (segment_id, site_id, outcome)
    ) WITH (fillfactor = 70)
    """,
    """
    CREATE TABLE recording_totals (
      site_id text, day date, outcome text,
      chunks bigint NOT NULL,
      bytes bigint NOT NULL,
      PRIMARY KEY (site_id, day, outcome)
    )
    """,
    # One for each segment that has its events still: a segment is dropped with both. While they
    # are made nobody seals: a segment opened in between would have none.
    f"SELECT pg_advisory_xact_lock({FENCE_KEY})",
    """
    DO $$ DECLARE segment bigint; BEGIN
      FOR segment IN SELECT segment_id FROM segments WHERE state <> 'dropped' LOOP
        EXECUTE format(
          'CREATE TABLE recording_chunks_%s'
          ' (LIKE recording_chunks INCLUDING DEFAULTS INCLUDING STORAGE)', segment);
        EXECUTE format(
          'ALTER TABLE recording_chunks ATTACH PARTITION recording_chunks_%s'
          ' FOR VALUES IN (%s)', segment, segment);
      END LOOP;
    END $$
    """,
)


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '10s'")
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    for table in ("recording_chunks", "recordings", "recording_ledger", "recording_totals"):
        op.execute(f"DROP TABLE {table}")
