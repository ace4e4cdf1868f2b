"""The exporter's SQL: what alerts are judged by, and each site's counts by the hour.

The ledger is folded into days when a segment is dropped, so the counts by the hour are kept apart,
for as long as a week's rhythm takes to show. They are for alerts only: nothing is billed by them.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, Row, text

from database.lag import OLDEST_UNDELIVERED, first_received

KEPT_HOURS: Final = timedelta(days=16)
_LOOKS_BACK: Final = timedelta(hours=26)

# A segment's counts only grow until it is dropped; then an hour may be told in part only.
_COUNT_HOURS = text("""
INSERT INTO site_hours (site_id, hour, accepted, duplicates, refused)
SELECT site_id, received_hour,
  coalesce(sum(events) FILTER (WHERE outcome = 'accepted'), 0),
  coalesce(sum(events) FILTER (WHERE outcome = 'duplicate'), 0),
  coalesce(sum(events) FILTER (WHERE outcome <> ALL (CAST(:not_refused AS text[]))), 0)
FROM ledger
WHERE received_hour >= :since AND segment_id IN (
  SELECT segment_id FROM segments
  WHERE state <> 'dropped' AND (sealed_at IS NULL OR sealed_at >= :since))
GROUP BY 1, 2
ON CONFLICT (site_id, hour) DO UPDATE SET
  accepted = greatest(site_hours.accepted, excluded.accepted),
  duplicates = greatest(site_hours.duplicates, excluded.duplicates),
  refused = greatest(site_hours.refused, excluded.refused)
WHERE (excluded.accepted, excluded.duplicates, excluded.refused)
  IS DISTINCT FROM (site_hours.accepted, site_hours.duplicates, site_hours.refused)
""")
_FORGET_HOURS = text("DELETE FROM site_hours WHERE hour < :before")

# A sink that was paused by hand is as somebody wants it.
_STOPPED = text("""
SELECT sinks.sink,
  coalesce(max(d.last_error) FILTER (WHERE d.state = 'stopped'), sinks.reason, '') AS error,
  count(d.sink) AS segments
FROM sinks LEFT JOIN deliveries AS d ON d.sink = sinks.sink AND d.state <> 'delivered'
WHERE sinks.circuit <> 'paused' GROUP BY sinks.sink, sinks.circuit, sinks.reason
HAVING bool_or(d.state = 'stopped') OR sinks.circuit = 'open' ORDER BY sinks.sink
""")
_WAITING = text("""
SELECT DISTINCT sink FROM deliveries WHERE state <> 'delivered' ORDER BY sink
""")
_CONFIG = text("SELECT config FROM exporter_state")
_TRAFFIC = text("""
WITH last AS (
  SELECT site_id, max(hour) FILTER (WHERE accepted > 0) AS hour FROM site_hours GROUP BY site_id
)
SELECT s.site_id, last.hour AS last_hour,
  coalesce(sum(accepted) FILTER (
    WHERE s.hour > :now - :silence - interval '1 h'), 0)::bigint AS recent,
  coalesce(sum(accepted) FILTER (
    WHERE s.hour >= :now - interval '7 d' - :silence AND s.hour < :now - interval '7 d'), 0
  )::bigint AS week_before,
  count(DISTINCT floor(extract(epoch FROM last.hour - s.hour) / 86400)) FILTER (
    WHERE accepted > 0 AND s.hour > last.hour - interval '7 d') AS active_days,
  coalesce(sum(accepted) FILTER (WHERE s.hour >= :lately), 0)::bigint AS accepted,
  coalesce(sum(duplicates) FILTER (WHERE s.hour >= :lately), 0)::bigint AS duplicates,
  coalesce(sum(refused) FILTER (WHERE s.hour >= :lately), 0)::bigint AS refused,
  coalesce(sum(accepted) FILTER (
    WHERE s.hour < :lately AND s.hour >= :lately - interval '7 d'), 0)::bigint AS usual_accepted,
  coalesce(sum(duplicates) FILTER (
    WHERE s.hour < :lately AND s.hour >= :lately - interval '7 d'), 0)::bigint
    AS usual_duplicates,
  coalesce(sum(refused) FILTER (
    WHERE s.hour < :lately AND s.hour >= :lately - interval '7 d'), 0)::bigint AS usual_refused
FROM site_hours AS s JOIN last USING (site_id)
GROUP BY s.site_id, last.hour ORDER BY s.site_id
""")


def count_hours(connection: Connection, *, now: datetime, not_refused: Collection[str]) -> None:
    """Bring each site's counts by the hour up to date; `not_refused` are outcomes left out."""
    with connection.begin():
        connection.execute(
            _COUNT_HOURS, {"since": now - _LOOKS_BACK, "not_refused": sorted(not_refused)}
        )
        connection.execute(_FORGET_HOURS, {"before": now - KEPT_HOURS})


def read_stopped_sinks(connection: Connection) -> list[Row[Any]]:
    """Rows of (sink, error, segments): what takes nothing until it is mended, and waits."""
    return list(connection.execute(_STOPPED))


def read_waiting_sinks(connection: Connection) -> list[str]:
    """Sinks that lack a sealed segment."""
    return list(connection.execute(_WAITING).scalars())


def read_oldest_undelivered(connection: Connection) -> datetime | None:
    """When the oldest undelivered event was received; None when all is delivered."""
    segment_id = connection.execute(OLDEST_UNDELIVERED).scalar_one()
    if segment_id is None:
        return None
    oldest: datetime | None = connection.execute(first_received(segment_id)).scalar_one_or_none()
    return oldest


def read_config(connection: Connection) -> dict[str, Any]:
    """What the exporter says of its settings."""
    return connection.execute(_CONFIG).scalar() or {}


def read_traffic(
    connection: Connection, *, now: datetime, silence: timedelta, lately: datetime
) -> list[Row[Any]]:
    """For each site: last_hour, recent, week_before, active_days, and counts since `lately`.

    `recent` are accepted events within `silence` and the rest of the hour before; `week_before`
    those of the same hours a week ago; `usual_…` those of the week before `lately`.
    """
    return list(connection.execute(_TRAFFIC, {"now": now, "silence": silence, "lately": lately}))
