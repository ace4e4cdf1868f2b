"""A segment's life: open, sealed, deduplicated, exported, dropped.

Sealing, in order: create the next partition, take the fence exclusively, close the open segment
and open the next at the same instant, note what is to be delivered, commit. A crash before the
commit leaves the old segment open; there is nothing in between.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import Connection, text
from sqlalchemy.exc import OperationalError

from database.fence import FENCE_KEY
from database.lag import ROWS_OF_SEGMENT
from database.recording_counts import drop_recordings
from database.recording_lock import lock_recordings
from database.recording_tables import recording_table
from database.tables import segment_table


@dataclass(frozen=True, slots=True)
class Segment:
    """A sealed segment."""

    segment_id: int
    opened_at: datetime
    sealed_at: datetime


@dataclass(frozen=True, slots=True)
class OpenSegment:
    """The segment that writers write into."""

    segment_id: int
    opened_at: datetime
    rows: int
    largest_bytes: int
    """Of one site's hour, as it was accepted: what one object will be made of."""


REMEMBERED_SEGMENTS: Final = 2_000
"""How many dropped segments keep their notes: deliveries, runs, times."""


class FenceBusy(Exception):
    """A writer's transaction held the fence for too long; seal again later."""


_NEXT_ID = text("SELECT nextval(pg_get_serial_sequence('segments', 'segment_id'))")
_LOCK_TIMEOUT = text("SELECT set_config('lock_timeout', :timeout, true)")
_TAKE_FENCE = text("SELECT pg_advisory_xact_lock(:key)")
_CLOSE_OPEN = text("""
UPDATE segments SET state = 'sealed', sealed_at = clock_timestamp() WHERE state = 'open'
RETURNING segment_id, opened_at, sealed_at
""")
_OPEN_NEXT = text("""
INSERT INTO segments (segment_id, state, opened_at) OVERRIDING SYSTEM VALUE
VALUES (:segment_id, 'open', :opened_at)
""")
_PLAN_DELIVERIES = text("""
INSERT INTO deliveries (segment_id, sink) SELECT :segment_id, unnest(CAST(:sinks AS text[]))
""")
_NOTE_RUN = text("""
INSERT INTO export_runs (run_id, trigger, requested_at, segment_id, sealed_at)
VALUES (:run_id, :trigger, now(), :segment_id, :sealed_at)
""")
_ANSWER_REQUESTS = text("""
UPDATE export_runs SET segment_id = :segment_id, sealed_at = :sealed_at WHERE sealed_at IS NULL
""")


def create_partition(connection: Connection, segment_id: int) -> None:
    """Create a segment's partitions, of the events and of the recordings, and attach them.

    In two steps: CREATE TABLE … PARTITION OF would lock the whole table against readers.
    """
    for whole, table in (
        ("events_log", segment_table(segment_id)),
        ("recording_chunks", recording_table(segment_id)),
    ):
        like = f"{whole} INCLUDING DEFAULTS INCLUDING STORAGE"
        connection.execute(text(f"CREATE TABLE {table} (LIKE {like})"))
        connection.execute(
            text(f"ALTER TABLE {whole} ATTACH PARTITION {table} FOR VALUES IN ({segment_id})")
        )


def seal_open_segment(
    connection: Connection,
    *,
    sinks: Sequence[str],
    trigger: str,
    run_id: UUID,
    wait: timedelta = timedelta(seconds=2),
) -> Segment:
    """Seal the open segment, the empty one too, and plan its delivery into each sink.

    Every manual request that waits is answered by this seal; without one a run is noted under
    `run_id`. Writers queue behind the fence while it is taken, so it is waited for only for
    `wait`; raises FenceBusy after that, with nothing changed.
    """
    timeout = f"{int(wait.total_seconds() * 1000)}ms"
    try:
        with connection.begin():
            next_id = connection.execute(_NEXT_ID).scalar_one()
            create_partition(connection, next_id)
            connection.execute(_LOCK_TIMEOUT, {"timeout": timeout})
            connection.execute(_TAKE_FENCE, {"key": FENCE_KEY})
            sealed = Segment(*connection.execute(_CLOSE_OPEN).one())
            connection.execute(_OPEN_NEXT, {"segment_id": next_id, "opened_at": sealed.sealed_at})
            facts = {"segment_id": sealed.segment_id, "sealed_at": sealed.sealed_at}
            connection.execute(
                _PLAN_DELIVERIES, {"segment_id": sealed.segment_id, "sinks": list(sinks)}
            )
            answered = connection.execute(_ANSWER_REQUESTS, facts).rowcount
            if not answered:
                connection.execute(_NOTE_RUN, facts | {"run_id": run_id, "trigger": trigger})
    except OperationalError as exc:
        if "lock timeout" in str(exc):
            raise FenceBusy(str(exc.orig)) from exc
        raise
    return sealed


# A backend that waits for a COPY's data is neither idle nor cancelled by any timeout.
END_STALE_WRITERS = text("""
SELECT count(pg_terminate_backend(a.pid)) FROM pg_locks AS l JOIN pg_stat_activity AS a USING (pid)
WHERE l.locktype = 'advisory' AND l.granted AND l.mode = 'ShareLock'
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND (l.classid::bigint << 32 | l.objid::bigint) = :key
  AND a.application_name = 'sluice collector'
  AND a.xact_start < clock_timestamp() - CAST(:age AS interval)
""")


def end_stale_writers(connection: Connection, *, older_than: timedelta) -> int:
    """Disconnect the collectors whose transaction has held the fence for too long.

    A collector that was stopped in the middle of a COPY would hold it for ever. What it was
    writing was never acknowledged. Returns how many there were.
    """
    with connection.begin():
        ended: int = connection.execute(
            END_STALE_WRITERS, {"key": FENCE_KEY, "age": older_than}
        ).scalar_one()
    return ended


_OPEN_SEGMENT = text(f"""
SELECT segment_id, opened_at, ({ROWS_OF_SEGMENT}) AS rows,
  (SELECT coalesce(max(bytes), 0)::bigint FROM (
     SELECT sum(bytes) AS bytes FROM ledger
     WHERE ledger.segment_id = segments.segment_id AND outcome = 'accepted'
     GROUP BY site_id, received_hour) AS hours) AS largest_bytes
FROM segments WHERE state = 'open'
""")  # noqa: S608 - constants
_SHRINKAGE = text("""
SELECT sum(d.bytes)::float8 / nullif(sum(l.bytes), 0)::float8
FROM deliveries AS d JOIN (
  SELECT segment_id, sum(bytes) AS bytes FROM ledger WHERE outcome = 'accepted' GROUP BY 1
) AS l USING (segment_id)
WHERE d.sink = :sink AND d.state = 'delivered'
""")
_IN_BUFFER = text("""
SELECT state IN ('deduplicated', 'exported') FROM segments WHERE segment_id = :segment_id
""")
_HAS_REQUEST = text("SELECT EXISTS (SELECT FROM export_runs WHERE sealed_at IS NULL)")
_IN_STATE = text("""
SELECT segment_id, opened_at, sealed_at FROM segments WHERE state = :state ORDER BY segment_id
""")
_MARK_EXPORTED = text("""
UPDATE segments SET state = 'exported', exported_at = now()
WHERE state = 'deduplicated' AND NOT EXISTS (
  SELECT FROM deliveries
  WHERE deliveries.segment_id = segments.segment_id AND deliveries.state <> 'delivered')
""")
# An exporter of a release without recordings delivers a segment's events and leaves its chunks.
_HAS_CHUNKS_LEFT = """EXISTS (
  SELECT 1 FROM recording_ledger AS r WHERE r.segment_id = segments.segment_id
  GROUP BY r.site_id
  HAVING sum(CASE r.outcome WHEN 'stored' THEN r.chunks WHEN 'delivered' THEN -r.chunks
             WHEN 'erased' THEN -r.chunks ELSE 0 END) > 0)"""
_EXPIRED = text(f"""
SELECT segment_id FROM segments
WHERE state = 'exported' AND exported_at < now() - CAST(:retention AS interval)
  AND NOT {_HAS_CHUNKS_LEFT}
ORDER BY segment_id
""")  # noqa: S608 - a constant
_MARK_DROPPED = text(f"""
UPDATE segments SET state = 'dropped', dropped_at = now()
WHERE segment_id = :segment_id AND state = 'exported' AND NOT {_HAS_CHUNKS_LEFT}
""")  # noqa: S608 - a constant
_FOLD_LEDGER = text("""
WITH folded AS (DELETE FROM ledger WHERE segment_id = :segment_id RETURNING *)
INSERT INTO ledger_totals
  (site_id, received_day, outcome, events, bytes, bots, redacted, plan_violations, letters)
SELECT site_id, date_trunc('day', received_hour, 'UTC') AS received_day, outcome,
  sum(events), sum(bytes), sum(bots), sum(redacted), sum(plan_violations), sum(letters)
FROM folded GROUP BY 1, 2, 3
ON CONFLICT (site_id, received_day, outcome)
DO UPDATE SET events = ledger_totals.events + excluded.events,
  bytes = ledger_totals.bytes + excluded.bytes,
  bots = ledger_totals.bots + excluded.bots,
  redacted = ledger_totals.redacted + excluded.redacted,
  plan_violations = ledger_totals.plan_violations + excluded.plan_violations,
  letters = ledger_totals.letters + excluded.letters
""")
# What is remembered of a dropped segment is bounded too: its deliveries are folded into the
# totals, unless its ids are still needed to tell a repeat.
_FORGOTTEN = text("""
SELECT segment_id FROM segments
WHERE state = 'dropped' AND segment_id <= :segment_id - :remembered
  AND NOT EXISTS (SELECT FROM segment_event_ids AS i WHERE i.segment_id = segments.segment_id)
  AND NOT EXISTS (
    SELECT FROM receipts JOIN deliveries USING (segment_id)
    WHERE receipts.segment_id = segments.segment_id AND receipt_at IS NULL)
""")
_FOLD_DELIVERIES = text("""
WITH gone AS (DELETE FROM deliveries WHERE segment_id = ANY(:forgotten) RETURNING *)
INSERT INTO delivery_totals (sink, rows, bytes)
SELECT sink, coalesce(sum(rows), 0), coalesce(sum(bytes), 0) FROM gone GROUP BY sink
ON CONFLICT (sink) DO UPDATE SET rows = delivery_totals.rows + excluded.rows,
  bytes = delivery_totals.bytes + excluded.bytes
""")
_FORGET_RUNS = text("DELETE FROM export_runs WHERE segment_id = ANY(:forgotten)")
# But for the newest, which the next one names.
_FORGET_RECEIPTS = text("""
DELETE FROM receipts WHERE segment_id = ANY(:forgotten)
  AND segment_id < (SELECT max(segment_id) FROM receipts)
""")
_FORGET_SEGMENTS = text("DELETE FROM segments WHERE segment_id = ANY(:forgotten)")
_FORGET_DUPLICATES = text("DELETE FROM segment_duplicates WHERE segment_id = :segment_id")
_FORGET_LINKS = text("DELETE FROM identity_links WHERE segment_id = :segment_id")
_FORGET_SITE_CHANGES = text("DELETE FROM site_changes WHERE segment_id = :segment_id")


def read_open_segment(connection: Connection) -> OpenSegment:
    """The open segment and how many rows it holds, by the ledger."""
    return OpenSegment(*connection.execute(_OPEN_SEGMENT).one())


def read_shrinkage(connection: Connection, sink: str) -> float | None:
    """Bytes in a sink's objects for each byte accepted, of the segments still in the buffer."""
    shrinkage: float | None = connection.execute(_SHRINKAGE, {"sink": sink}).scalar()
    return shrinkage


def is_in_buffer(connection: Connection, segment_id: int) -> bool:
    """Whether a segment's rows are still there, and its duplicates decided."""
    return bool(connection.execute(_IN_BUFFER, {"segment_id": segment_id}).scalar())


def has_export_request(connection: Connection) -> bool:
    """Whether somebody asked for an export that no seal has answered yet."""
    return bool(connection.execute(_HAS_REQUEST).scalar_one())


def segments_in_state(connection: Connection, state: str) -> list[Segment]:
    """Segments in a state, oldest first."""
    return [Segment(*row) for row in connection.execute(_IN_STATE, {"state": state})]


def mark_exported(connection: Connection) -> int:
    """Mark what has reached every one of its sinks; returns how many."""
    with connection.begin():
        return connection.execute(_MARK_EXPORTED).rowcount


def expired_segments(connection: Connection, retention: timedelta) -> list[int]:
    """Exported segments that have been kept for as long as they should be."""
    return list(connection.execute(_EXPIRED, {"retention": retention}).scalars())


def drop_segment(connection: Connection, segment_id: int) -> None:
    """Drop an exported segment's rows and fold its counts into the totals, all or nothing."""
    with connection.begin():
        connection.execute(_LOCK_TIMEOUT, {"timeout": "2s"})
        if connection.execute(_MARK_DROPPED, {"segment_id": segment_id}).rowcount != 1:
            return
        lock_recordings(connection, segment_id)
        connection.execute(_FOLD_LEDGER, {"segment_id": segment_id})
        connection.execute(_FORGET_DUPLICATES, {"segment_id": segment_id})
        connection.execute(_FORGET_LINKS, {"segment_id": segment_id})
        connection.execute(_FORGET_SITE_CHANGES, {"segment_id": segment_id})
        connection.execute(text(f"DROP TABLE {segment_table(segment_id)}"))
        drop_recordings(connection, segment_id)
        limits = {"segment_id": segment_id, "remembered": REMEMBERED_SEGMENTS}
        forgotten = list(connection.execute(_FORGOTTEN, limits).scalars())
        for forget in (_FORGET_RECEIPTS, _FOLD_DELIVERIES, _FORGET_RUNS, _FORGET_SEGMENTS):
            if forgotten:
                connection.execute(forget, {"forgotten": forgotten})
