"""How old the oldest undelivered event is: SQL that both `/health` and the alerts ask."""

from __future__ import annotations

from sqlalchemy import TextClause, text

from database.tables import segment_table

OLDEST_UNDELIVERED = text("""
SELECT min(segment_id) FROM segments
WHERE state IN ('open', 'sealed', 'deduplicated') AND EXISTS (
  SELECT FROM ledger WHERE ledger.segment_id = segments.segment_id AND outcome = 'accepted')
""")


def first_received(segment_id: int) -> TextClause:
    """When a segment's first row was received.

    Rows are only ever appended: the first is the oldest, but for those of the same moment.
    """
    return text(f"SELECT received_at FROM {segment_table(segment_id)} LIMIT 1")  # noqa: S608
