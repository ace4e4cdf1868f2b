"""The tables, as SQLAlchemy Core metadata; the migrations build exactly these."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

metadata = MetaData()

TIME = DateTime(timezone=True)

segments = Table(
    "segments",
    metadata,
    Column("segment_id", BigInteger, Identity(always=True), primary_key=True),
    Column("state", Text, nullable=False),
    Column("opened_at", TIME, nullable=False),
    Column("sealed_at", TIME),
    Column("exported_at", TIME),
    Column("dropped_at", TIME),
    CheckConstraint(
        "state IN ('open', 'sealed', 'deduplicated', 'exported', 'dropped')", name="segment_state"
    ),
    comment="One partition of events_log each; the unit of export.",
)
Index("one_open_segment", segments.c.state, unique=True, postgresql_where=text("state = 'open'"))

events_log = Table(
    "events_log",
    metadata,
    Column("segment_id", BigInteger, nullable=False),
    Column("received_at", TIME, nullable=False),
    Column("event_id", Uuid, nullable=False),
    Column("event_type", Text, nullable=False),
    Column("site_id", Text, nullable=False),
    Column("visitor_id", Text),
    Column("session_id", Text),
    Column("user_id", Text),
    Column("occurred_at", TIME, nullable=False),
    Column("payload", JSONB, nullable=False),
    postgresql_partition_by="LIST (segment_id)",
    comment="The buffer: append-only, never updated, dropped a whole segment at a time.",
)

ledger = Table(
    "ledger",
    metadata,
    Column("segment_id", BigInteger, primary_key=True, autoincrement=False),
    Column("writer_id", BigInteger, primary_key=True, autoincrement=False),
    Column("site_id", Text, primary_key=True),
    Column("received_hour", TIME, primary_key=True),
    Column("event_type", Text, primary_key=True),
    Column("outcome", Text, primary_key=True),
    Column("events", BigInteger, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("bots", BigInteger, nullable=False, server_default="0"),
    Column("redacted", BigInteger, nullable=False, server_default="0"),
    Column("plan_violations", BigInteger, nullable=False, server_default="0"),
    Column("letters", BigInteger, nullable=False, server_default="0"),
    comment="Counts written in the transaction of the rows they count. "
    "outcome: accepted, duplicate, or a RefusalReason; of the accepted, how many carry a mark; "
    "of the refused, how many became dead letters.",
    postgresql_with={"fillfactor": "70"},
)

ledger_totals = Table(
    "ledger_totals",
    metadata,
    Column("site_id", Text, primary_key=True),
    Column("received_day", TIME, primary_key=True),
    Column("outcome", Text, primary_key=True),
    Column("events", BigInteger, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("bots", BigInteger, nullable=False, server_default="0"),
    Column("redacted", BigInteger, nullable=False, server_default="0"),
    Column("plan_violations", BigInteger, nullable=False, server_default="0"),
    Column("letters", BigInteger, nullable=False, server_default="0"),
    comment="The ledger of dropped segments, folded.",
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("segment_id", BigInteger, primary_key=True, autoincrement=False),
    Column("sink", Text, primary_key=True),
    Column("state", Text, nullable=False, server_default="pending"),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("next_attempt_at", TIME, nullable=False, server_default=text("now()")),
    Column("started_at", TIME),
    Column("delivered_at", TIME),
    Column("last_error", Text),
    Column("rows", BigInteger),
    Column("bytes", BigInteger),
    Column("objects", Integer),
    Column("manifest_key", Text),
    Column("receipt_at", TIME),
    CheckConstraint(
        "state IN ('pending', 'running', 'delivered', 'stopped')", name="delivery_state"
    ),
    comment="One segment's way into one sink, with its own retries and error.",
)

sinks = Table(
    "sinks",
    metadata,
    Column("sink", Text, primary_key=True),
    Column("circuit", Text, nullable=False, server_default="closed"),
    Column("since", TIME, nullable=False, server_default=text("now()")),
    Column("reason", Text),
    Column("probe_at", TIME),
    CheckConstraint("circuit IN ('closed', 'open', 'paused')", name="sink_circuit"),
    comment="Whether deliveries to a sink go through, are only probed, or are paused by hand.",
)

delivery_attempts = Table(
    "delivery_attempts",
    metadata,
    Column("attempt_id", BigInteger, Identity(always=True), primary_key=True),
    Column("sink", Text, nullable=False),
    Column("segment_id", BigInteger, nullable=False),
    Column("started_at", TIME, nullable=False),
    Column("ended_at", TIME, nullable=False),
    Column("error", Text),
    comment="What each sink's last attempts came to; error is null when it was delivered.",
)
Index("delivery_attempts_by_sink", delivery_attempts.c.sink, delivery_attempts.c.attempt_id)

planned_objects = Table(
    "planned_objects",
    metadata,
    Column("sink", Text, primary_key=True),
    Column("segment_id", BigInteger, primary_key=True, autoincrement=False),
    Column("key", Text, primary_key=True),
    Column("error", Text),
    comment="Objects that an attempt may have put, and that no manifest lists yet, or ever.",
)

delivery_totals = Table(
    "delivery_totals",
    metadata,
    Column("sink", Text, primary_key=True),
    Column("rows", BigInteger, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    comment="The deliveries of segments that are no longer remembered, folded.",
)

receipts = Table(
    "receipts",
    metadata,
    Column("segment_id", BigInteger, primary_key=True, autoincrement=False),
    Column("body", LargeBinary, nullable=False),
    Column("sha256", Text, nullable=False),
    comment="What a segment delivered and what is billed, signed; the same bytes for each bucket.",
)

segment_event_ids = Table(
    "segment_event_ids",
    metadata,
    Column("segment_id", BigInteger, primary_key=True, autoincrement=False),
    Column("chunk", SmallInteger, primary_key=True, autoincrement=False),
    Column("event_ids", LargeBinary, nullable=False),
    comment="The ids that a segment delivers, 16 bytes each: what a later repeat is told by.",
)

segment_duplicates = Table(
    "segment_duplicates",
    metadata,
    Column("segment_id", BigInteger, primary_key=True, autoincrement=False),
    Column("row_number", BigInteger, primary_key=True, autoincrement=False),
    comment="Rows (counted from 0 in physical order) that repeat an id delivered before.",
)

export_runs = Table(
    "export_runs",
    metadata,
    Column("run_id", Uuid, primary_key=True),
    Column("trigger", Text, nullable=False),
    Column("requested_at", TIME, nullable=False),
    Column("segment_id", BigInteger),
    Column("sealed_at", TIME),
    CheckConstraint("trigger IN ('schedule', 'size', 'manual')", name="run_trigger"),
    comment="A request to seal and deliver. segment_id is what it sealed; null until then.",
)

backfills = Table(
    "backfills",
    metadata,
    Column("backfill_id", Uuid, primary_key=True),
    Column("requested_at", TIME, nullable=False, server_default=text("now()")),
    Column("from_at", TIME, nullable=False),
    Column("to_at", TIME, nullable=False),
    Column("sink", Text, nullable=False),
    Column("format", Text, nullable=False),
    Column("state", Text, nullable=False, server_default="requested"),
    Column("started_at", TIME),
    Column("finished_at", TIME),
    Column("next_attempt_at", TIME, nullable=False, server_default=text("now()")),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("prefix", Text),
    Column("segments", Integer),
    Column("done_segments", Integer, nullable=False, server_default="0"),
    Column("done_through", BigInteger, nullable=False, server_default="0"),
    Column("rows", BigInteger, nullable=False, server_default="0"),
    Column("bytes", BigInteger, nullable=False, server_default="0"),
    Column("objects", BigInteger, nullable=False, server_default="0"),
    Column("last_error", Text),
    CheckConstraint(
        "state IN ('requested', 'running', 'completed', 'failed', 'cancelled')",
        name="backfill_state",
    ),
    CheckConstraint("from_at < to_at", name="backfill_window"),
    comment="Windows to be delivered once more, into sets of objects of their own.",
)

dead_letters = Table(
    "dead_letters",
    metadata,
    Column("dead_letter_id", Uuid, primary_key=True),
    Column("segment_id", BigInteger, nullable=False),
    Column("arrived_at", TIME, nullable=False),
    Column("received_at", TIME, nullable=False),
    Column("site_id", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("field", Text),
    Column("message", Text, nullable=False),
    Column("event_type", Text, nullable=False),
    Column("dialect", Text, nullable=False),
    Column("request", Text, nullable=False),
    Column("payload", Text, nullable=False),
    Column("payload_bytes", Integer, nullable=False),
    Column("is_cut", Boolean, nullable=False),
    Column("user_agent", Text),
    Column("ip", Text),
    Column("version", Text, nullable=False),
    Column("replayed_at", TIME),
    Column("first_reason", Text),
    Column("first_field", Text),
    Column("first_message", Text),
    Column("first_version", Text),
    comment="Refused events, redacted, each with its reason; replayable. The first reason is "
    "what the ledger counts and what is delivered; null until a replay gives another.",
)
Index("dead_letters_by_segment", dead_letters.c.segment_id, dead_letters.c.dead_letter_id)

sites = Table(
    "sites",
    metadata,
    Column("site_id", Text, primary_key=True),
    Column("state", Text, nullable=False),
    Column("first_seen_at", TIME, nullable=False),
    Column("first_dialect", Text, nullable=False),
    Column("first_url", Text),
    Column("decided_at", TIME),
    CheckConstraint("state IN ('accepted', 'quarantined', 'refused')", name="site_state"),
    comment="Every site that was ever named, and when it was first seen.",
)

site_changes = Table(
    "site_changes",
    metadata,
    Column("segment_id", BigInteger, nullable=False),
    Column("changed_at", TIME, nullable=False),
    Column("site_id", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("first_seen_at", TIME, nullable=False),
    Column("first_dialect", Text, nullable=False),
    Column("first_url", Text),
    Column("decided_at", TIME),
    comment="Each site as it was after each change, with the segment that was open then; written "
    "by the trigger of `sites`, delivered as a dataset of its own.",
)
Index("site_changes_by_segment", site_changes.c.segment_id)

identity_links = Table(
    "identity_links",
    metadata,
    Column("segment_id", BigInteger, nullable=False),
    Column("linked_at", TIME, nullable=False),
    Column("site_id", Text, nullable=False),
    Column("visitor_id", Text, nullable=False),
    Column("user_id", Text, nullable=False),
    Column("event_type", Text, nullable=False),
    comment="Events that say which user a visitor is; delivered as a dataset of their own.",
)
Index("identity_links_by_segment", identity_links.c.segment_id)

suppressions = Table(
    "suppressions",
    metadata,
    Column("kind", Text, primary_key=True),
    Column("digest", LargeBinary, primary_key=True),
    Column("requested_at", TIME, nullable=False),
    CheckConstraint("kind IN ('visitor', 'user')", name="suppression_kind"),
    comment="Whom intake refuses, by a digest: the list must not remember whom it forgets.",
)

intake_rules = Table(
    "intake_rules",
    metadata,
    Column("singleton", Boolean, primary_key=True, server_default=text("true")),
    Column("version", BigInteger, nullable=False),
    CheckConstraint("singleton", name="one_set_of_rules"),
    comment="Raised with every change of suppressions and sites; writers read it under the fence.",
)

visitor_salts = Table(
    "visitor_salts",
    metadata,
    Column("day", Date, primary_key=True),
    Column("salt", LargeBinary, nullable=False),
    Column("made_at", TIME, nullable=False, server_default=text("now()")),
    comment="Keys of cookieless visitor ids; deleted when their day is over, never exported.",
)

spool_positions = Table(
    "spool_positions",
    metadata,
    Column("spool_id", Uuid, primary_key=True),
    Column("replayed_through", BigInteger, nullable=False),
    comment="How far each collector's spool has been written, in the transaction that wrote it.",
)

sink_tests = Table(
    "sink_tests",
    metadata,
    Column("test_id", Uuid, primary_key=True),
    Column("sink", Text, nullable=False),
    Column("requested_at", TIME, nullable=False),
    Column("started_at", TIME),
    Column("finished_at", TIME),
    Column("steps", JSONB, nullable=False, server_default=text("'[]'")),
    comment="Examinations of a bucket: asked for, carried out by the exporter, step by step.",
)

site_hours = Table(
    "site_hours",
    metadata,
    Column("site_id", Text, primary_key=True),
    Column("hour", TIME, primary_key=True),
    Column("accepted", BigInteger, nullable=False),
    Column("duplicates", BigInteger, nullable=False),
    Column("refused", BigInteger, nullable=False),
    comment="Each site's counts by hour of receipt, for the alerts; nothing is billed by them.",
)

alerts = Table(
    "alerts",
    metadata,
    Column("alert_id", Uuid, primary_key=True),
    Column("condition", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("message", Text, nullable=False),
    Column("remedy", Text, nullable=False),
    Column("begun_at", TIME, nullable=False),
    Column("told_at", TIME, nullable=False),
    Column("found_at", TIME, nullable=False),
    Column("ended_at", TIME),
    comment="What somebody has, or had, to look at; found_at is when it last held.",
)
Index(
    "one_open_alert",
    alerts.c.condition,
    alerts.c.subject,
    unique=True,
    postgresql_where=text("ended_at IS NULL"),
)

alert_notices = Table(
    "alert_notices",
    metadata,
    Column("notice_id", Uuid, primary_key=True),
    Column("alert_id", Uuid, nullable=False),
    Column("channel", Text, nullable=False),
    Column("body", JSONB, nullable=False),
    Column("made_at", TIME, nullable=False),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("next_attempt_at", TIME, nullable=False),
    Column("last_error", Text),
    Column("is_told", Boolean),
    Column("closed_at", TIME),
    comment="What a channel is to be told; closed when it was, or when it was given up.",
)
Index(
    "notices_to_tell",
    alert_notices.c.channel,
    alert_notices.c.next_attempt_at,
    postgresql_where=text("closed_at IS NULL"),
)

stack = Table(
    "stack",
    metadata,
    Column("singleton", Boolean, primary_key=True, server_default=text("true")),
    Column("stack_id", Uuid, nullable=False, server_default=text("gen_random_uuid()")),
    CheckConstraint("singleton", name="one_stack"),
    comment="Who this buffer is, to the buckets that it writes into.",
)

exporter_state = Table(
    "exporter_state",
    metadata,
    Column("singleton", Boolean, primary_key=True, server_default=text("true")),
    Column("started_at", TIME, nullable=False),
    Column("last_seen_at", TIME, nullable=False),
    Column("next_seal_at", TIME),
    Column("config", JSONB, nullable=False),
    Column("seen", JSONB, nullable=False, server_default=text("'{}'")),
    CheckConstraint("singleton", name="one_exporter"),
    comment="What the exporter says of itself; secrets masked.",
)


def segment_table(segment_id: int) -> str:
    """The partition of `events_log` that holds a segment."""
    return f"events_log_{segment_id}"
