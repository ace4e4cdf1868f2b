"""What became of the chunks of recordings, counted: their own law of conservation.

For every segment and site received = stored + repeated + refused, and stored = delivered + pending
+ erased; pending is what is left of it. Each count is written in the transaction that makes it
true: a chunk with its `stored`, an erasure with its `erased`, a delivery with its `delivered`.
`removed` is beside the law: erased from the buffer when the client's bucket had it already.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, text

from database.recording_tables import recording_table

STORED: Final = "stored"
REPEATED: Final = "repeated"
DELIVERED: Final = "delivered"
ERASED: Final = "erased"
REMOVED: Final = "removed"
_NO_REASONS: Final = frozenset({STORED, REPEATED, DELIVERED, ERASED, REMOVED})

COUNT_CHUNKS: Final = """
INSERT INTO recording_ledger (segment_id, site_id, outcome, chunks, bytes)
VALUES (:segment_id, :site_id, :outcome, :chunks, :bytes)
ON CONFLICT (segment_id, site_id, outcome)
DO UPDATE SET chunks = recording_ledger.chunks + excluded.chunks,
  bytes = recording_ledger.bytes + excluded.bytes
"""
_OF_SEGMENT: Final = text("""
SELECT site_id, outcome, chunks, bytes FROM recording_ledger WHERE segment_id = :segment_id
""")
_ALL: Final = """
SELECT outcome, sum(chunks)::bigint AS chunks, sum(bytes)::bigint AS bytes
FROM (SELECT site_id, outcome, chunks, bytes FROM recording_ledger
      UNION ALL SELECT site_id, outcome, chunks, bytes FROM recording_totals) AS counted
WHERE CAST(:site_id AS text) IS NULL OR site_id = :site_id
GROUP BY outcome
"""
# What a manifest lists was delivered, although some of it may have been erased from the buffer
# between the manifest and the moment in which the database was told.
_SETTLE: Final = text("""
INSERT INTO recording_ledger (segment_id, site_id, outcome, chunks, bytes)
VALUES (:segment_id, :site_id, :outcome, :chunks, 0)
ON CONFLICT (segment_id, site_id, outcome) DO UPDATE SET chunks = excluded.chunks
""")
_FOLD: Final = text("""
WITH folded AS (DELETE FROM recording_ledger WHERE segment_id = :segment_id RETURNING *)
INSERT INTO recording_totals (site_id, day, outcome, chunks, bytes)
SELECT site_id, (opened_at AT TIME ZONE 'UTC')::date, outcome, chunks, bytes
FROM folded JOIN segments USING (segment_id)
ON CONFLICT (site_id, day, outcome)
DO UPDATE SET chunks = recording_totals.chunks + excluded.chunks,
  bytes = recording_totals.bytes + excluded.bytes
""")
READ_ALL: Final = text(_ALL)


@dataclass(frozen=True, slots=True)
class ChunkCounts:
    """Chunks, and bytes of those stored, of a segment or of all."""

    stored: int
    repeated: int
    refused: Mapping[str, int]
    delivered: int
    erased: int
    removed: int
    bytes: int

    @property
    def received(self) -> int:
        """Everything that came."""
        return self.stored + self.repeated + sum(self.refused.values())

    @property
    def pending(self) -> int:
        """Stored, and not yet in the client's bucket."""
        return self.stored - self.delivered - self.erased


def sum_chunks(counted: Iterable[tuple[str, int, int]]) -> ChunkCounts:
    """Counts by (outcome, chunks, bytes)."""
    chunks: dict[str, int] = {}
    size = 0
    for outcome, number, its_bytes in counted:
        chunks[outcome] = chunks.get(outcome, 0) + number
        size += its_bytes if outcome == STORED else 0
    named = {name: chunks.get(name, 0) for name in _NO_REASONS}
    refused = {name: n for name, n in sorted(chunks.items()) if name not in _NO_REASONS}
    return ChunkCounts(refused=refused, bytes=size, **named)


def read_segment_chunks(connection: Connection, segment_id: int) -> dict[str, ChunkCounts]:
    """A segment's counts by site."""
    by_site: dict[str, list[tuple[str, int, int]]] = {}
    for row in connection.execute(_OF_SEGMENT, {"segment_id": segment_id}):
        by_site.setdefault(row.site_id, []).append((row.outcome, row.chunks, row.bytes))
    return {site_id: sum_chunks(counted) for site_id, counted in by_site.items()}


def settle_chunks(connection: Connection, segment_id: int, delivered: Mapping[str, int]) -> None:
    """Within the transaction that marks the client's delivery: what its manifest lists, by site."""
    counts = read_segment_chunks(connection, segment_id) if delivered else {}
    for site_id, number in delivered.items():
        before = counts.get(site_id)
        facts: dict[str, Any] = {"segment_id": segment_id, "site_id": site_id}
        connection.execute(_SETTLE, facts | {"outcome": DELIVERED, "chunks": number})
        late = before.erased - (before.stored - number) if before else 0
        if before and late > 0:
            erased, removed = before.erased - late, before.removed + late
            connection.execute(_SETTLE, facts | {"outcome": ERASED, "chunks": erased})
            connection.execute(_SETTLE, facts | {"outcome": REMOVED, "chunks": removed})


def drop_recordings(connection: Connection, segment_id: int) -> None:
    """Within the transaction that drops a segment: its chunks go, its counts are folded."""
    connection.execute(_FOLD, {"segment_id": segment_id})
    # An exporter from before there were recordings opened segments without.
    connection.execute(text(f"DROP TABLE IF EXISTS {recording_table(segment_id)}"))
