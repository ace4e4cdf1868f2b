"""How old the oldest undelivered event is: SQL that both `/health` and the alerts ask."""

from __future__ import annotations

from sqlalchemy import TextClause, text

from database.tables import segment_table

ROWS_OF_SEGMENT = """
SELECT coalesce(sum(CASE outcome WHEN 'accepted' THEN events ELSE -events END), 0)::bigint
FROM ledger
WHERE ledger.segment_id = segments.segment_id AND outcome IN ('accepted', 'duplicate')
"""
"""How many events a segment is to deliver. A repeat that the collector knew is counted, too, as
accepted and as a duplicate, and has no row: there are segments of nothing else."""

OLDEST_UNDELIVERED = text(f"""
SELECT min(segment_id) FROM segments
WHERE state IN ('open', 'sealed', 'deduplicated') AND ({ROWS_OF_SEGMENT}) > 0
""")  # noqa: S608 - constants


def first_received(segment_id: int) -> TextClause:
    """When a segment's first row was received.

    Rows are only ever appended: the first is the oldest, but for those of the same moment.
    """
    return text(f"SELECT received_at FROM {segment_table(segment_id)} LIMIT 1")  # noqa: S608
