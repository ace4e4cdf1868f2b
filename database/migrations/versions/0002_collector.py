"""What intake keeps beside the rows: dead letters, sites, identities, suppressions, salts."""

from alembic import op

revision = "0002"
down_revision = "0001"

MARKS = ("bots", "redacted", "plan_violations", "letters")

STATEMENTS = (
    *(
        f"ALTER TABLE {table} ADD COLUMN {mark} bigint NOT NULL DEFAULT 0"
        for table in ("ledger", "ledger_totals")
        for mark in MARKS
    ),
    # Ids are UUIDv7: the primary key is the order of arrival, and what a listing pages by.
    """
    CREATE TABLE dead_letters (
      dead_letter_id uuid PRIMARY KEY,
      segment_id bigint NOT NULL,
      arrived_at timestamptz NOT NULL,
      received_at timestamptz NOT NULL,
      site_id text NOT NULL,
      reason text NOT NULL,
      field text,
      message text NOT NULL,
      event_type text NOT NULL,
      dialect text NOT NULL,
      request text NOT NULL,
      payload text NOT NULL,
      payload_bytes integer NOT NULL,
      is_cut boolean NOT NULL,
      user_agent text,
      ip text,
      version text NOT NULL,
      replayed_at timestamptz
    )
    """,
    """
    CREATE TABLE sites (
      site_id text PRIMARY KEY,
      state text NOT NULL CONSTRAINT site_state
        CHECK (state IN ('accepted', 'quarantined', 'refused')),
      first_seen_at timestamptz NOT NULL,
      first_dialect text NOT NULL,
      first_url text,
      decided_at timestamptz
    )
    """,
    # Sites that were there before they were recorded.
    """
    INSERT INTO sites (site_id, state, first_seen_at, first_dialect)
    SELECT site_id, 'accepted', min(seen_at), 'native' FROM (
      SELECT site_id, min(received_hour) AS seen_at FROM ledger
      WHERE outcome = 'accepted' GROUP BY site_id
      UNION ALL
      SELECT site_id, min(received_day) FROM ledger_totals
      WHERE outcome = 'accepted' GROUP BY site_id
    ) AS seen GROUP BY site_id
    """,
    """
    CREATE TABLE identity_links (
      segment_id bigint NOT NULL,
      linked_at timestamptz NOT NULL,
      site_id text NOT NULL,
      visitor_id text NOT NULL,
      user_id text NOT NULL,
      event_type text NOT NULL
    )
    """,
    "CREATE INDEX identity_links_by_segment ON identity_links (segment_id)",
    """
    CREATE TABLE suppressions (
      kind text NOT NULL CONSTRAINT suppression_kind CHECK (kind IN ('visitor', 'user')),
      digest bytea NOT NULL,
      requested_at timestamptz NOT NULL,
      PRIMARY KEY (kind, digest)
    )
    """,
    # Whoever changes a site's state or the suppressions raises the version in the same
    # transaction: a writer sees it under the fence, and judges again what it was about to write.
    """
    CREATE TABLE intake_rules (
      singleton boolean PRIMARY KEY DEFAULT true CONSTRAINT one_set_of_rules CHECK (singleton),
      version bigint NOT NULL
    )
    """,
    "INSERT INTO intake_rules (version) VALUES (1)",
    """
    CREATE TABLE visitor_salts (
      day date PRIMARY KEY,
      salt bytea NOT NULL,
      made_at timestamptz NOT NULL DEFAULT now()
    )
    """,
    """
    CREATE TABLE spool_positions (
      spool_id uuid PRIMARY KEY,
      replayed_through bigint NOT NULL
    )
    """,
)


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '10s'")
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise RuntimeError(
        "There is no way back: dropping these would drop what was promised to be kept."
    )
