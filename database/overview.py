"""What the management routes ask: counts from the ledger, never from a scan of the buffer."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.ext.asyncio import AsyncConnection

from database.lag import OLDEST_UNDELIVERED, ROWS_OF_SEGMENT, first_received
from database.tables import segment_table

_COUNTED = """
  SELECT site_id, outcome, events, bots, redacted, plan_violations FROM ledger
  UNION ALL SELECT site_id, outcome, events, bots, redacted, plan_violations FROM ledger_totals
"""

_COUNTS = text(f"""
SELECT outcome, sum(events)::bigint AS events, sum(bots)::bigint AS bots,
  sum(redacted)::bigint AS redacted, sum(plan_violations)::bigint AS plan_violations
FROM ({_COUNTED}) AS counted GROUP BY outcome
""")  # noqa: S608 - constants

_COUNTS_BY_SITE = text(f"""
SELECT site_id,
  coalesce(sum(events) FILTER (WHERE outcome = 'accepted'), 0)::bigint AS accepted,
  coalesce(sum(events) FILTER (WHERE outcome NOT IN ('accepted', 'duplicate')), 0)::bigint
    AS rejected
FROM ({_COUNTED}) AS counted GROUP BY site_id ORDER BY accepted DESC, site_id LIMIT 1000
""")  # noqa: S608

_PENDING_BY_SINK = text("""
SELECT sinks.sink,
  count(*) FILTER (WHERE deliveries.state IS DISTINCT FROM 'delivered')::bigint AS segments,
  coalesce(sum(accepted.events) FILTER (WHERE deliveries.state IS DISTINCT FROM 'delivered'), 0)
    ::bigint AS events,
  coalesce(sum(accepted.bytes) FILTER (WHERE deliveries.state IS DISTINCT FROM 'delivered'), 0)
    ::bigint AS bytes,
  min(deliveries.next_attempt_at) FILTER (WHERE deliveries.state IN ('pending', 'stopped'))
    AS next_attempt_at
FROM (SELECT sink FROM deliveries UNION SELECT sink FROM delivery_totals) AS sinks
CROSS JOIN segments
LEFT JOIN deliveries USING (segment_id, sink)
LEFT JOIN (
  SELECT segment_id, sum(CASE outcome WHEN 'accepted' THEN events ELSE -events END) AS events,
    sum(bytes) AS bytes
  FROM ledger WHERE outcome IN ('accepted', 'duplicate') GROUP BY segment_id
) AS accepted USING (segment_id)
WHERE segments.state <> 'dropped'
GROUP BY sinks.sink
""")

_DELIVERIES = text("""
SELECT sink,
  (coalesce(sum(rows) FILTER (WHERE state = 'delivered'), 0)
    + coalesce((SELECT rows FROM delivery_totals AS t WHERE t.sink = deliveries.sink), 0)
  )::bigint AS exported,
  max(delivered_at) AS last_delivered_at,
  max(last_error) FILTER (WHERE state <> 'delivered') AS last_error,
  count(*) FILTER (WHERE state = 'stopped')::bigint AS stopped,
  max(attempts) FILTER (WHERE state <> 'delivered') AS attempts,
  count(*) FILTER (WHERE state = 'delivered' AND receipt_at IS NULL AND EXISTS (
    SELECT FROM receipts WHERE receipts.segment_id = deliveries.segment_id))::bigint
    AS receipts_waiting
FROM deliveries GROUP BY sink ORDER BY sink
""")

# A segment's rows were all received before its sealing, so the watermark is the sealing of the
# last segment before the first that is not delivered.
_WATERMARKS = text("""
SELECT sinks.sink, (
  SELECT max(s.sealed_at) FROM segments AS s WHERE s.segment_id < (
    SELECT min(u.segment_id) FROM segments AS u
    LEFT JOIN deliveries AS d ON d.segment_id = u.segment_id AND d.sink = sinks.sink
    WHERE u.state <> 'dropped' AND d.state IS DISTINCT FROM 'delivered')
) AS watermark
FROM (SELECT sink FROM deliveries UNION SELECT sink FROM delivery_totals) AS sinks
""")

_SEGMENTS = text("""
SELECT state, count(*)::bigint AS segments FROM segments
WHERE state <> 'dropped' GROUP BY state
""")

_ORPHANS = text("""
SELECT p.sink, count(*)::bigint AS objects FROM planned_objects AS p
LEFT JOIN deliveries AS d USING (segment_id, sink)
WHERE coalesce(d.state, 'delivered') = 'delivered' GROUP BY p.sink
""")

_EXPORTER = text("""
SELECT started_at, last_seen_at, next_seal_at, config, seen FROM exporter_state
""")

_REQUEST_RUN = text("""
INSERT INTO export_runs (run_id, trigger, requested_at) VALUES (:run_id, 'manual', now())
""")
# A run that waits to be sealed, or one that is delivered without trouble while nothing has come
# in since: another one would deliver nothing more.
_JOINED_RUN = text("""
SELECT r.run_id FROM export_runs AS r
WHERE r.sealed_at IS NULL
  OR r.segment_id = (SELECT max(segment_id) FROM segments WHERE state <> 'open')
    AND NOT EXISTS (SELECT FROM ledger JOIN segments USING (segment_id) WHERE state = 'open')
    AND EXISTS (
      SELECT FROM deliveries AS d WHERE d.segment_id = r.segment_id AND d.state <> 'delivered')
    AND NOT EXISTS (
      SELECT FROM deliveries AS d
      WHERE d.state = 'stopped' OR (d.state = 'pending' AND d.attempts > 0))
ORDER BY r.requested_at LIMIT 1
""")
_RUN = text("""
SELECT r.run_id, r.trigger, r.requested_at, r.sealed_at, r.segment_id,
  max(d.delivered_at) AS delivered_at,
  coalesce(sum(d.rows), 0)::bigint AS rows, coalesce(sum(d.bytes), 0)::bigint AS bytes,
  count(d.sink) FILTER (WHERE d.state <> 'delivered')::bigint AS undelivered,
  count(d.sink) FILTER (WHERE d.state = 'stopped')::bigint AS stopped,
  count(d.sink) FILTER (WHERE d.state = 'pending' AND d.attempts > 0)::bigint AS retrying,
  max(d.last_error) FILTER (WHERE d.state <> 'delivered') AS last_error
FROM export_runs AS r LEFT JOIN deliveries AS d USING (segment_id)
WHERE (CAST(:run_id AS uuid) IS NULL OR r.run_id = :run_id)
  AND (CAST(:before AS uuid) IS NULL OR (r.requested_at, r.run_id) < (
    SELECT b.requested_at, b.run_id FROM export_runs AS b WHERE b.run_id = :before))
GROUP BY r.run_id, r.trigger, r.requested_at, r.sealed_at, r.segment_id
ORDER BY r.requested_at DESC, r.run_id DESC LIMIT :most
""")
_DELIVERIES_OF_RUN = text("""
SELECT d.sink, d.state, d.attempts, d.started_at, d.delivered_at, d.rows, d.bytes, d.objects,
  d.manifest_key, d.last_error
FROM deliveries AS d JOIN export_runs AS r USING (segment_id)
WHERE r.run_id = :run_id ORDER BY d.sink
""")

_ROWS = "SELECT received_at, occurred_at, event_id, site_id, event_type, payload"

_WRITTEN = text(f"""
SELECT segment_id FROM segments WHERE state <> 'dropped' AND ({ROWS_OF_SEGMENT}) > 0
ORDER BY segment_id DESC LIMIT 20
""")  # noqa: S608 - constants


@dataclass(frozen=True, slots=True)
class EventCounts:
    """The conservation law's numbers over all time."""

    accepted: int
    duplicates: int
    rejected_by_reason: dict[str, int]
    bots: int = 0
    """Of the accepted, like the two below."""
    redacted: int = 0
    plan_violations: int = 0

    @property
    def rejected(self) -> int:
        """All refusals."""
        return sum(self.rejected_by_reason.values())

    @property
    def received(self) -> int:
        """Everything that ever arrived."""
        return self.accepted + self.rejected


async def read_counts(connection: AsyncConnection) -> EventCounts:
    """Sum the ledger: exact, and as many rows as there are sites, hours and types."""
    rows = {row.outcome: row for row in await connection.execute(_COUNTS)}
    accepted = rows.pop("accepted", None)
    duplicates = rows.pop("duplicate", None)
    return EventCounts(
        accepted=accepted.events if accepted else 0,
        duplicates=duplicates.events if duplicates else 0,
        rejected_by_reason={outcome: rows[outcome].events for outcome in sorted(rows)},
        bots=accepted.bots if accepted else 0,
        redacted=accepted.redacted if accepted else 0,
        plan_violations=accepted.plan_violations if accepted else 0,
    )


async def read_counts_by_site(connection: AsyncConnection) -> list[Row[Any]]:
    """Rows of (site_id, accepted, rejected), the busiest first."""
    return list(await connection.execute(_COUNTS_BY_SITE))


async def read_pending(connection: AsyncConnection) -> dict[str, Row[Any]]:
    """By sink: segments, events and their bytes that have not reached it, the open one's included.

    And next_attempt_at, when the first of them is tried again.
    """
    return {row.sink: row for row in await connection.execute(_PENDING_BY_SINK)}


async def read_deliveries(connection: AsyncConnection) -> list[Row[Any]]:
    """By sink: exported, last_delivered_at, last_error, stopped, attempts."""
    return list(await connection.execute(_DELIVERIES))


async def read_watermarks(connection: AsyncConnection) -> dict[str, datetime | None]:
    """By sink: every event received before it has been delivered."""
    return {row.sink: row.watermark for row in await connection.execute(_WATERMARKS)}


async def read_oldest_undelivered(connection: AsyncConnection) -> datetime | None:
    """When the oldest undelivered event was received; None when all is delivered."""
    segment_id = (await connection.execute(OLDEST_UNDELIVERED)).scalar_one()
    if segment_id is None:
        return None
    first = await connection.execute(first_received(segment_id))
    oldest: datetime | None = first.scalar_one_or_none()
    return oldest


async def read_segment_states(connection: AsyncConnection) -> dict[str, int]:
    """How many segments are in which state."""
    return {row.state: row.segments for row in await connection.execute(_SEGMENTS)}


async def read_exporter(connection: AsyncConnection) -> Row[Any] | None:
    """What the exporter last said: started_at, last_seen_at, next_seal_at, config, seen."""
    return (await connection.execute(_EXPORTER)).one_or_none()


async def request_run(connection: AsyncConnection, run_id: UUID) -> UUID:
    """Ask the exporter to seal and deliver now; returns the run that does it.

    One that waits is joined, and one under way, unless something came in since it was sealed.
    """
    async with connection.begin():
        # Two requests at the same moment must find each other.
        await connection.execute(text("LOCK TABLE export_runs IN SHARE ROW EXCLUSIVE MODE"))
        joined: UUID | None = (await connection.execute(_JOINED_RUN)).scalar()
        if joined is None:
            await connection.execute(_REQUEST_RUN, {"run_id": run_id})
    return joined or run_id


async def read_runs(
    connection: AsyncConnection,
    *,
    run_id: UUID | None = None,
    before: UUID | None = None,
    most: int = 20,
) -> list[Row[Any]]:
    """Runs with what became of their segment, the newest first; `before` is the last one seen."""
    asked = {"run_id": run_id, "before": before, "most": most}
    return list(await connection.execute(_RUN, asked))


async def read_deliveries_of_run(connection: AsyncConnection, run_id: UUID) -> list[Row[Any]]:
    """A run's segment on its way into each sink."""
    return list(await connection.execute(_DELIVERIES_OF_RUN, {"run_id": run_id}))


async def read_orphans(connection: AsyncConnection) -> dict[str, int]:
    """By sink: objects that no manifest lists, and that are still to be removed."""
    return {row.sink: row.objects for row in await connection.execute(_ORPHANS)}


async def read_recent_events(connection: AsyncConnection, most: int) -> list[Row[Any]]:
    """The newest rows of the buffer: received_at, occurred_at, event_id, payload.

    There is no index to follow backwards: the last pages of the newest segments are read,
    more of them until there are enough rows.
    """
    found: list[Row[Any]] = []
    for segment_id in (await connection.execute(_WRITTEN)).scalars().all():
        try:
            found += await _last_rows(connection, segment_id, most - len(found))
        except ProgrammingError:  # dropped meanwhile
            await connection.rollback()
        if len(found) >= most:
            break
    return found


async def _last_rows(connection: AsyncConnection, segment_id: int, most: int) -> list[Row[Any]]:
    table = segment_table(segment_id)
    size = text(f"SELECT pg_relation_size('{table}') / current_setting('block_size')::int")
    pages = (await connection.execute(size)).scalar_one()
    read = 8
    while True:
        first = max(0, pages - read)
        query = text(f"{_ROWS} FROM {table} WHERE ctid >= '({first},0)'::tid")
        rows = list(await connection.execute(query))
        if len(rows) >= most or first == 0:
            return rows[::-1][:most]
        read *= 8
