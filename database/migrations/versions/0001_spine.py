"""The spine: buffer, segments, ledger, deliveries, runs."""

from alembic import op

revision = "0001"
down_revision = None

STATEMENTS = (
    """
    CREATE TABLE segments (
      segment_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
      state text NOT NULL CONSTRAINT segment_state
        CHECK (state IN ('open', 'sealed', 'deduplicated', 'exported', 'dropped')),
      opened_at timestamptz NOT NULL,
      sealed_at timestamptz,
      exported_at timestamptz,
      dropped_at timestamptz
    )
    """,
    "CREATE UNIQUE INDEX one_open_segment ON segments (state) WHERE state = 'open'",
    """
    CREATE TABLE events_log (
      segment_id bigint NOT NULL,
      received_at timestamptz NOT NULL,
      event_id uuid NOT NULL,
      event_type text NOT NULL,
      site_id text NOT NULL,
      visitor_id text,
      session_id text,
      user_id text,
      occurred_at timestamptz NOT NULL,
      payload jsonb NOT NULL
    ) PARTITION BY LIST (segment_id)
    """,
    # A group commit updates the same few rows again and again: room on the page keeps those
    # updates off the index.
    """
    CREATE TABLE ledger (
      segment_id bigint, writer_id bigint, site_id text, received_hour timestamptz,
      event_type text, outcome text,
      events bigint NOT NULL,
      bytes bigint NOT NULL,
      PRIMARY KEY (segment_id, writer_id, site_id, received_hour, event_type, outcome)
    ) WITH (fillfactor = 70)
    """,
    "CREATE SEQUENCE writer_ids",
    """
    CREATE TABLE ledger_totals (
      site_id text, received_day timestamptz, outcome text,
      events bigint NOT NULL,
      bytes bigint NOT NULL,
      PRIMARY KEY (site_id, received_day, outcome)
    )
    """,
    """
    CREATE TABLE deliveries (
      segment_id bigint, sink text,
      state text NOT NULL DEFAULT 'pending' CONSTRAINT delivery_state
        CHECK (state IN ('pending', 'running', 'delivered', 'stopped')),
      attempts integer NOT NULL DEFAULT 0,
      next_attempt_at timestamptz NOT NULL DEFAULT now(),
      started_at timestamptz,
      delivered_at timestamptz,
      last_error text,
      rows bigint,
      bytes bigint,
      objects integer,
      manifest_key text,
      PRIMARY KEY (segment_id, sink)
    )
    """,
    """
    CREATE TABLE delivery_totals (
      sink text PRIMARY KEY,
      rows bigint NOT NULL,
      bytes bigint NOT NULL
    )
    """,
    """
    CREATE TABLE segment_event_ids (
      segment_id bigint, chunk smallint,
      event_ids bytea STORAGE EXTERNAL NOT NULL,
      PRIMARY KEY (segment_id, chunk)
    )
    """,
    """
    CREATE TABLE segment_duplicates (
      segment_id bigint, row_number bigint,
      PRIMARY KEY (segment_id, row_number)
    )
    """,
    """
    CREATE TABLE export_runs (
      run_id uuid PRIMARY KEY,
      trigger text NOT NULL CONSTRAINT run_trigger
        CHECK (trigger IN ('schedule', 'size', 'manual')),
      requested_at timestamptz NOT NULL,
      segment_id bigint,
      sealed_at timestamptz
    )
    """,
    """
    CREATE TABLE exporter_state (
      singleton boolean PRIMARY KEY DEFAULT true CONSTRAINT one_exporter CHECK (singleton),
      started_at timestamptz NOT NULL,
      last_seen_at timestamptz NOT NULL,
      next_seal_at timestamptz,
      config jsonb NOT NULL
    )
    """,
    """
    CREATE TABLE stack (
      singleton boolean PRIMARY KEY DEFAULT true CONSTRAINT one_stack CHECK (singleton),
      stack_id uuid NOT NULL DEFAULT gen_random_uuid()
    )
    """,
    "INSERT INTO stack DEFAULT VALUES",
    "COMMENT ON TABLE events_log IS 'The buffer: append-only, dropped a segment at a time.'",
    # The first segment, so that a collector can write from the first moment.
    "INSERT INTO segments (state, opened_at) VALUES ('open', clock_timestamp())",
    "CREATE TABLE events_log_1 (LIKE events_log INCLUDING DEFAULTS)",
    "ALTER TABLE events_log ATTACH PARTITION events_log_1 FOR VALUES IN (1)",
    # A sequence used in the transaction that creates it logs its next 32 values nowhere: after
    # a crash they would be given out again. setval makes the next one logged.
    "SELECT setval(pg_get_serial_sequence('segments', 'segment_id'), 1)",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise RuntimeError("The spine has no way back: dropping it would drop undelivered events.")
