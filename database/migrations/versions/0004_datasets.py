"""What other datasets are delivered from: dead letters by segment, and changes of sites."""

from alembic import op

from database.fence import FENCE_KEY

revision = "0004"
down_revision = "0003"

STATEMENTS = (
    # Writers have the fence before they touch a table: who takes a table first may wait for ever.
    f"SELECT pg_advisory_xact_lock({FENCE_KEY})",
    # What a replay says of a letter takes the place of what was said at first: that is kept.
    """
    ALTER TABLE dead_letters
      ADD COLUMN first_reason text,
      ADD COLUMN first_field text,
      ADD COLUMN first_message text,
      ADD COLUMN first_version text
    """,
    "CREATE INDEX dead_letters_by_segment ON dead_letters (segment_id, dead_letter_id)",
    """
    CREATE TABLE site_changes (
      segment_id bigint NOT NULL,
      changed_at timestamptz NOT NULL,
      site_id text NOT NULL,
      state text NOT NULL,
      first_seen_at timestamptz NOT NULL,
      first_dialect text NOT NULL,
      first_url text,
      decided_at timestamptz
    )
    """,
    "CREATE INDEX site_changes_by_segment ON site_changes (segment_id)",
    # By a trigger, so that a collector of the release before, which still runs while this one is
    # being started, is heard too. Whoever changes a site has the fence: the open segment stays so.
    """
    CREATE FUNCTION note_site_change() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      INSERT INTO site_changes (segment_id, changed_at, site_id, state, first_seen_at,
                                first_dialect, first_url, decided_at)
      SELECT segment_id, coalesce(NEW.decided_at, NEW.first_seen_at), NEW.site_id, NEW.state,
        NEW.first_seen_at, NEW.first_dialect, NEW.first_url, NEW.decided_at
      FROM segments WHERE segments.state = 'open';
      RETURN NULL;
    END
    $$
    """,
    """
    CREATE TRIGGER site_changed AFTER INSERT OR UPDATE ON sites
    FOR EACH ROW EXECUTE FUNCTION note_site_change()
    """,
    # What is known already is told with the segment that is open now.
    """
    INSERT INTO site_changes
    SELECT segment_id, coalesce(decided_at, first_seen_at), site_id, sites.state, first_seen_at,
      first_dialect, first_url, decided_at
    FROM sites, segments WHERE segments.state = 'open'
    """,
)


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '10s'")
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP TRIGGER site_changed ON sites")
    op.execute("DROP FUNCTION note_site_change")
    op.execute("DROP TABLE site_changes")
    op.execute("DROP INDEX dead_letters_by_segment")
    op.execute(
        "ALTER TABLE dead_letters DROP COLUMN first_reason, DROP COLUMN first_field,"
        " DROP COLUMN first_message, DROP COLUMN first_version"
    )
