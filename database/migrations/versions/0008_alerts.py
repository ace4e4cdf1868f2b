"""Alerts: what is wrong, who is still to be told, and the counts by the hour that tell it."""

from alembic import op

revision = "0008"
down_revision = "0007"

STATEMENTS = (
    """
    CREATE TABLE site_hours (
      site_id text,
      hour timestamptz,
      accepted bigint NOT NULL,
      duplicates bigint NOT NULL,
      refused bigint NOT NULL,
      PRIMARY KEY (site_id, hour)
    )
    """,
    """
    CREATE TABLE alerts (
      alert_id uuid PRIMARY KEY,
      condition text NOT NULL,
      subject text NOT NULL,
      message text NOT NULL,
      remedy text NOT NULL,
      begun_at timestamptz NOT NULL,
      told_at timestamptz NOT NULL,
      found_at timestamptz NOT NULL,
      ended_at timestamptz
    )
    """,
    "CREATE UNIQUE INDEX one_open_alert ON alerts (condition, subject) WHERE ended_at IS NULL",
    """
    CREATE TABLE alert_notices (
      notice_id uuid PRIMARY KEY,
      alert_id uuid NOT NULL,
      channel text NOT NULL,
      body jsonb NOT NULL,
      made_at timestamptz NOT NULL,
      attempts integer NOT NULL DEFAULT 0,
      next_attempt_at timestamptz NOT NULL,
      last_error text,
      is_told boolean,
      closed_at timestamptz
    )
    """,
    "CREATE INDEX notices_to_tell ON alert_notices (channel, next_attempt_at)"
    " WHERE closed_at IS NULL",
)


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '10s'")
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    for table in ("alert_notices", "alerts", "site_hours"):
        op.execute(f"DROP TABLE {table}")
