"""The collector's SQL for recordings: one chunk, one transaction.

Order of effects: take the fence shared, learn the open segment, the version of the rules and how
much waits; note a site that is new; add the sequence number to its recording's; write the chunk
into the open segment, and count it; commit, with `synchronous_commit = on`. A crash before the
commit leaves nothing. A commit whose answer was lost leaves the chunk: sent again, its number is
among its recording's, and it is counted as a repeat.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from database.fence import FENCE_KEY
from database.intake_batch import NewSite
from database.recording_counts import COUNT_CHUNKS, REPEATED, STORED

_CONNECTIONS: Final = 4

_TAKE_FENCE = text(f"SELECT pg_advisory_xact_lock_shared({FENCE_KEY})")
_BEGIN = text("""
SELECT segment_id, clock_timestamp() AS received_at, (SELECT version FROM intake_rules) AS version,
  (SELECT coalesce(sum(CASE outcome WHEN 'stored' THEN bytes ELSE -bytes END), 0)::bigint
   FROM recording_ledger WHERE outcome IN ('stored', 'erased', 'removed')) AS buffered_bytes
FROM segments WHERE state = 'open'
""")
_RAISE_VERSION = text("UPDATE intake_rules SET version = version + 1 WHERE version = :version")
_NOTE_SITE = text("""
INSERT INTO sites (site_id, state, first_seen_at, first_dialect, first_url)
VALUES (:site_id, :state, :received_at, :dialect, :url) ON CONFLICT (site_id) DO NOTHING
""")
_ADD_SEQUENCE = text("""
INSERT INTO recordings AS r
  (site_id, session_id, recording_id, visitor_id, sequences, last_chunk_at)
VALUES (:site_id, :session_id, :recording_id, :visitor_id,
  int4multirange(int4range(:sequence, :sequence, '[]')), :received_at)
ON CONFLICT (site_id, session_id, recording_id) DO UPDATE
SET sequences = r.sequences + excluded.sequences, last_chunk_at = excluded.last_chunk_at
WHERE NOT r.sequences @> CAST(:sequence AS integer)
RETURNING r.sequences::text
""")
_SEQUENCES = text("""
SELECT sequences::text FROM recordings
WHERE site_id = :site_id AND session_id = :session_id AND recording_id = :recording_id
""")
_WRITE = text("""
INSERT INTO recording_chunks (segment_id, received_at, site_id, visitor_id, user_id, session_id,
  recording_id, sequence, started_at, ended_at, events, body)
VALUES (:segment_id, :received_at, :site_id, :visitor_id, :user_id, :session_id,
  :recording_id, :sequence, :started_at, :ended_at, :events, :body)
""")
_COUNT = text(COUNT_CHUNKS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """A piece of a recording as it is stored: accepted, redacted, packed."""

    site_id: str
    visitor_id: str
    user_id: str | None
    session_id: str
    recording_id: str
    sequence: int
    started_at: datetime
    ended_at: datetime
    events: int
    body: bytes
    new_site: NewSite | None = None


@dataclass(frozen=True, slots=True)
class StoredChunk:
    """What became of a chunk, and which of its recording's are stored: (first, last), in order."""

    is_repeat: bool
    stored: list[tuple[int, int]]


class RulesChanged(Exception):
    """The rules of intake are newer than those that the chunk was judged by: nothing is written."""


class BufferFull(Exception):
    """As many recordings wait as may: nothing is written."""


def recording_engine(database_url: str, *, timeout_seconds: float) -> AsyncEngine:
    """Connections for chunks, apart from those of events: neither waits for the other's."""
    milliseconds = int(timeout_seconds * 1000)
    return create_async_engine(
        make_url(database_url).set(drivername="postgresql+psycopg"),
        pool_size=_CONNECTIONS,
        max_overflow=0,
        pool_timeout=timeout_seconds,
        pool_pre_ping=True,
        connect_args={
            # By this name a writer that is stuck under the fence is found, and disconnected.
            "application_name": "sluice collector",
            "connect_timeout": 5,
            # Acknowledged means durable, whatever a configuration file says.
            "options": f"-c synchronous_commit=on -c timezone=UTC"
            f" -c statement_timeout={milliseconds}"
            f" -c idle_in_transaction_session_timeout={milliseconds}",
        },
    )


async def store_chunk(
    engine: AsyncEngine, chunk: Chunk, *, rules_version: int, max_buffered_bytes: int
) -> StoredChunk:
    """Write a chunk in one durable transaction, unless it is stored already.

    Raises RulesChanged, BufferFull, or SQLAlchemyError when PostgreSQL is away.
    """
    async with engine.connect() as connection:
        await connection.execute(_TAKE_FENCE)
        begun = (await connection.execute(_BEGIN)).one()
        if begun.version != rules_version:
            raise RulesChanged
        place: dict[str, Any] = {"segment_id": begun.segment_id, "received_at": begun.received_at}
        if chunk.new_site is not None:
            await _note_site(connection, chunk.new_site, rules_version, begun.received_at)
        name = {
            "site_id": chunk.site_id,
            "session_id": chunk.session_id,
            "recording_id": chunk.recording_id,
        }
        about = name | {"visitor_id": chunk.visitor_id, "sequence": chunk.sequence}
        added = (await connection.execute(_ADD_SEQUENCE, about | place)).scalar()
        count = {"segment_id": begun.segment_id, "site_id": chunk.site_id, "chunks": 1}
        if added is None:
            added = (await connection.execute(_SEQUENCES, name)).scalar_one()
            await connection.execute(_COUNT, count | {"outcome": REPEATED, "bytes": 0})
            await connection.commit()
            return StoredChunk(True, read_ranges(added))
        if begun.buffered_bytes + len(chunk.body) > max_buffered_bytes:
            raise BufferFull
        facts = {
            "user_id": chunk.user_id,
            "started_at": chunk.started_at,
            "ended_at": chunk.ended_at,
            "events": chunk.events,
            "body": chunk.body,
        }
        await connection.execute(_WRITE, place | about | facts)
        await connection.execute(_COUNT, count | {"outcome": STORED, "bytes": len(chunk.body)})
        await connection.commit()
    return StoredChunk(False, read_ranges(added))


async def count_refused(engine: AsyncEngine, refused: Mapping[tuple[str, str], int]) -> None:
    """Count refusals, by site and reason, in the open segment."""
    async with engine.connect() as connection:
        await connection.execute(_TAKE_FENCE)
        begun = (await connection.execute(_BEGIN)).one()
        for (site_id, reason), chunks in sorted(refused.items()):
            await connection.execute(
                _COUNT,
                {
                    "segment_id": begun.segment_id,
                    "site_id": site_id,
                    "outcome": reason,
                    "chunks": chunks,
                    "bytes": 0,
                },
            )
        await connection.commit()


async def _note_site(
    connection: AsyncConnection, site: NewSite, rules_version: int, received_at: datetime
) -> None:
    """Record a site with its first chunk; whoever notes one raises the version of the rules."""
    if not (await connection.execute(_RAISE_VERSION, {"version": rules_version})).rowcount:
        raise RulesChanged
    await connection.execute(
        _NOTE_SITE,
        {
            "site_id": site.site_id,
            "state": site.state,
            "dialect": site.dialect,
            "url": site.url,
            "received_at": received_at,
        },
    )


def read_ranges(multirange: str) -> list[tuple[int, int]]:
    """`{[0,3),[5,6)}`, as PostgreSQL writes it, as pairs of first and last."""
    bounds = multirange.strip("{}").replace("[", "").replace(")", "")
    numbers = [int(bound) for bound in bounds.split(",") if bound]
    return [(first, end - 1) for first, end in zip(numbers[::2], numbers[1::2], strict=True)]
