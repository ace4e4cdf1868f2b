"""How many files a partition template makes of what came in."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, text

# The ledger of the segments that the buffer still has: those that were dropped are counted no more.
_COUNT_FILES = text("""
WITH recent AS (
  SELECT segment_id, opened_at, sealed_at FROM segments
  WHERE state IN ('sealed', 'deduplicated', 'exported') AND opened_at >= now() - interval '1 day'
), files AS (
  SELECT sum(events) AS events FROM ledger JOIN recent USING (segment_id)
  WHERE outcome = 'accepted'
  GROUP BY segment_id, site_id,
    date_trunc(CASE WHEN :has_hour THEN 'hour' ELSE 'day' END, received_hour, 'UTC'),
    CASE WHEN :has_type THEN event_type END
)
SELECT (SELECT count(*) FROM files), (SELECT coalesce(sum(events), 0)::bigint FROM files),
  coalesce(extract(epoch FROM max(sealed_at) - min(opened_at)) / 3600, 0)::float FROM recent
""")


@dataclass(frozen=True, slots=True)
class FileCount:
    """What the last day's segments come to, as far as the buffer remembers it."""

    files: int
    events: int
    hours: float
    """From the first of them to the last."""


def count_files(connection: Connection, *, has_hour: bool, has_type: bool) -> FileCount:
    """The files of one format that a template makes of the last day at most."""
    row = connection.execute(_COUNT_FILES, {"has_hour": has_hour, "has_type": has_type}).one()
    return FileCount(*row)
