"""Erase a visitor's chunks that wait in the buffer.

After their suppression, in transactions of its own: from then on intake stores none of theirs, so
what is found is all there is. A segment at a time, under its lock: a delivery holds it shared from
the check of its counts until the database knows that it is committed, so what is erased here is in
no manifest that is about to be put. A crash in between leaves the rest: whoever asked was not
answered, and asks again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine

from database.recording_counts import COUNT_CHUNKS, ERASED, REMOVED
from database.recording_lock import LOCK_RECORDINGS
from database.segments import FenceBusy

_FIND = text("""
SELECT DISTINCT segment_id FROM recording_chunks
WHERE visitor_id = ANY(:visitors) OR user_id = ANY(:users) ORDER BY segment_id
""")
_PATIENCE = text("SELECT set_config('lock_timeout', '5s', true)")
_DURABLE = text("SELECT set_config('synchronous_commit', 'on', true)")
_ERASE = text("""
DELETE FROM recording_chunks
WHERE segment_id = :segment_id AND (visitor_id = ANY(:visitors) OR user_id = ANY(:users))
RETURNING site_id, octet_length(body) AS bytes, EXISTS (
  SELECT FROM deliveries AS d WHERE d.segment_id = recording_chunks.segment_id
  AND d.sink = 'client' AND d.state = 'delivered') AS is_delivered
""")
_COUNT = text(COUNT_CHUNKS)
_FORGET = text("DELETE FROM recordings WHERE visitor_id = ANY(:visitors)")


@dataclass(frozen=True, slots=True)
class ErasedChunks:
    """How many were erased; `removed` of them the client's bucket had already."""

    erased: int = 0
    removed: int = 0


def _can_be_stored(name: str) -> bool:
    """Whether PostgreSQL holds such a text; no chunk has a name that it does not."""
    try:
        return b"\0" not in name.encode()
    except UnicodeEncodeError:  # half of a surrogate pair
        return False


async def erase_chunks(
    engine: AsyncEngine, *, visitors: Sequence[str], users: Sequence[str]
) -> ErasedChunks:
    """Erase what these persons' recordings have in the buffer; safe to repeat.

    Raises FenceBusy when a delivery is being committed for too long.
    """
    persons = {
        "visitors": [one for one in visitors if _can_be_stored(one)],
        "users": [one for one in users if _can_be_stored(one)],
    }
    erased = removed = 0
    async with engine.connect() as connection:
        segments = list((await connection.execute(_FIND, persons)).scalars())
        await connection.rollback()
        for segment_id in segments:
            await connection.execute(_PATIENCE)
            await connection.execute(_DURABLE)
            try:
                await connection.execute(LOCK_RECORDINGS, {"segment_id": segment_id})
            except OperationalError as exc:
                if "lock timeout" not in str(exc):
                    raise
                raise FenceBusy("a delivery is being committed") from exc
            facts = {"segment_id": segment_id} | persons
            for site_id, size, is_delivered in (await connection.execute(_ERASE, facts)).all():
                erased += not is_delivered
                removed += is_delivered
                await connection.execute(
                    _COUNT,
                    {
                        "segment_id": segment_id,
                        "site_id": site_id,
                        "outcome": REMOVED if is_delivered else ERASED,
                        "chunks": 1,
                        "bytes": size,
                    },
                )
            await connection.commit()
        await connection.execute(_FORGET, persons)
        await connection.commit()
    return ErasedChunks(erased, removed)
