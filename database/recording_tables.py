"""The tables of recordings: what a page's recorder sent, apart from the events."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Date, Integer, LargeBinary, Table, Text
from sqlalchemy.dialects.postgresql import INT4MULTIRANGE

from database.tables import TIME, metadata

__all__ = ["metadata"]  # with these tables in it

recording_chunks = Table(
    "recording_chunks",
    metadata,
    Column("segment_id", BigInteger, nullable=False),
    Column("received_at", TIME, nullable=False),
    Column("site_id", Text, nullable=False),
    Column("visitor_id", Text, nullable=False),
    Column("user_id", Text),
    Column("session_id", Text, nullable=False),
    Column("recording_id", Text, nullable=False),
    Column("sequence", Integer, nullable=False),
    Column("started_at", TIME, nullable=False),
    Column("ended_at", TIME, nullable=False),
    Column("events", Integer, nullable=False),
    Column("body", LargeBinary, nullable=False),
    postgresql_partition_by="LIST (segment_id)",
    comment="Chunks of recordings that wait to be delivered; body is a line of JSON, gzipped. "
    "Dropped a whole segment at a time.",
)

recordings = Table(
    "recordings",
    metadata,
    Column("site_id", Text, primary_key=True),
    Column("session_id", Text, primary_key=True),
    Column("recording_id", Text, primary_key=True),
    Column("visitor_id", Text, nullable=False),
    Column("sequences", INT4MULTIRANGE, nullable=False),
    Column("last_chunk_at", TIME, nullable=False),
    comment="Which chunks of a recording are stored, or were: what a repeat is told by.",
)

recording_ledger = Table(
    "recording_ledger",
    metadata,
    Column("segment_id", BigInteger, primary_key=True, autoincrement=False),
    Column("site_id", Text, primary_key=True),
    Column("outcome", Text, primary_key=True),
    Column("chunks", BigInteger, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    comment="Chunks counted in the transaction that writes, erases or delivers them. outcome: "
    "stored, repeated or a RefusalReason; of the stored: delivered, erased, or removed (erased "
    "when the client's bucket had them already).",
    postgresql_with={"fillfactor": "70"},
)

recording_totals = Table(
    "recording_totals",
    metadata,
    Column("site_id", Text, primary_key=True),
    Column("day", Date, primary_key=True),
    Column("outcome", Text, primary_key=True),
    Column("chunks", BigInteger, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    comment="The ledger of recordings of dropped segments, folded; by the day of their opening.",
)


def recording_table(segment_id: int) -> str:
    """The partition of `recording_chunks` that holds a segment's."""
    return f"recording_chunks_{segment_id}"
