"""Requests to deliver a window once more: written by the API, carried out by the exporter."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Connection, Row, text
from sqlalchemy.ext.asyncio import AsyncConnection


@dataclass(frozen=True, slots=True)
class Backfill:
    """What is to be done, and how far it has come."""

    backfill_id: UUID
    from_at: datetime
    to_at: datetime
    sink: str
    format: str
    attempts: int
    segments: int | None
    done_segments: int
    done_through: int
    """The last segment of the set; 0 before the first."""
    prefix: str | None
    """Where it was begun; None before."""


_FIELDS = """backfill_id, from_at, to_at, sink, format, attempts, segments, done_segments,
  done_through, prefix"""
_NEXT = text(f"""
SELECT {_FIELDS} FROM backfills JOIN sinks USING (sink)
WHERE state IN ('requested', 'running') AND next_attempt_at <= now() AND circuit <> 'paused'
ORDER BY requested_at LIMIT 1
""")  # noqa: S608 - a constant
_BEGIN = text("""
UPDATE backfills SET state = 'running', started_at = coalesce(started_at, now()),
  prefix = :prefix, segments = :segments
WHERE backfill_id = :backfill_id AND state IN ('requested', 'running')
""")
_NOTE_SEGMENT = text("""
UPDATE backfills SET done_through = :segment_id, done_segments = done_segments + 1,
  rows = rows + :rows, bytes = bytes + :bytes, objects = objects + :objects, last_error = NULL,
  attempts = 0
WHERE backfill_id = :backfill_id AND done_through < :segment_id
""")
_IS_WANTED = text("""
SELECT state = 'running' AND circuit <> 'paused' FROM backfills JOIN sinks USING (sink)
WHERE backfill_id = :backfill_id
""")
_FINISH = text("""
UPDATE backfills SET state = 'completed', finished_at = now(), last_error = NULL
WHERE backfill_id = :backfill_id AND state = 'running'
""")
_RETRY = text("""
UPDATE backfills SET last_error = :error, attempts = attempts + 1,
  next_attempt_at = now() + CAST(:wait AS interval)
WHERE backfill_id = :backfill_id
""")
_FAIL = text("""
UPDATE backfills SET state = 'failed', last_error = :error, finished_at = now()
WHERE backfill_id = :backfill_id AND state IN ('requested', 'running')
""")
MOST_WAITING: Final = 20
REMEMBERED: Final = 1_000

# The one that is asked for already, if it is not over.
_SAME = text("""
SELECT backfill_id FROM backfills
WHERE state IN ('requested', 'running') AND from_at = :from_at AND to_at = :to_at
  AND sink = :sink AND format = :format
""")
_WAITING = text("SELECT count(*) FROM backfills WHERE state IN ('requested', 'running')")
_FORGET = text("""
DELETE FROM backfills WHERE state NOT IN ('requested', 'running') AND backfill_id NOT IN (
  SELECT backfill_id FROM backfills ORDER BY requested_at DESC LIMIT :remembered)
""")
_REQUEST = text("""
INSERT INTO backfills (backfill_id, from_at, to_at, sink, format)
VALUES (:backfill_id, :from_at, :to_at, :sink, :format)
""")
_SHOWN = """backfill_id, requested_at, from_at, to_at, sink, format, state, started_at,
  finished_at, prefix, segments, done_segments, rows, bytes, objects, last_error"""
_LIST = text(f"SELECT {_SHOWN} FROM backfills ORDER BY requested_at DESC LIMIT :most")  # noqa: S608
_READ = text(f"SELECT {_SHOWN} FROM backfills WHERE backfill_id = :backfill_id")  # noqa: S608
_CANCEL = text("""
UPDATE backfills SET state = 'cancelled', finished_at = now()
WHERE backfill_id = :backfill_id AND state IN ('requested', 'running')
""")
_RESUME = text("""
UPDATE backfills SET state = 'requested', finished_at = NULL, next_attempt_at = now(), attempts = 0
WHERE backfill_id = :backfill_id AND state IN ('failed', 'cancelled')
""")


def next_backfill(connection: Connection) -> Backfill | None:
    """The oldest that is not done, if its time has come."""
    row = connection.execute(_NEXT).one_or_none()
    return Backfill(*row) if row else None


def begin_backfill(
    connection: Connection, backfill_id: UUID, *, prefix: str, segments: int
) -> None:
    """Note where its objects go, and how many segments it takes."""
    with connection.begin():
        connection.execute(
            _BEGIN, {"backfill_id": backfill_id, "prefix": prefix, "segments": segments}
        )


def is_wanted(connection: Connection, backfill_id: UUID) -> bool:
    """Whether nobody cancelled it, or paused its sink, meanwhile."""
    return bool(connection.execute(_IS_WANTED, {"backfill_id": backfill_id}).scalar())


def note_segment(
    connection: Connection,
    backfill_id: UUID,
    segment_id: int,
    *,
    rows: int,
    size: int,
    objects: int,
) -> None:
    """Note that a segment is in the set, once."""
    with connection.begin():
        connection.execute(
            _NOTE_SEGMENT,
            {
                "backfill_id": backfill_id,
                "segment_id": segment_id,
                "rows": rows,
                "bytes": size,
                "objects": objects,
            },
        )


def finish_backfill(connection: Connection, backfill_id: UUID) -> None:
    """Note that the set is complete."""
    with connection.begin():
        connection.execute(_FINISH, {"backfill_id": backfill_id})


def retry_backfill(
    connection: Connection, backfill_id: UUID, *, error: str, retry_in: timedelta
) -> None:
    """Note a failure that may pass."""
    with connection.begin():
        connection.execute(_RETRY, {"backfill_id": backfill_id, "error": error, "wait": retry_in})


def fail_backfill(connection: Connection, backfill_id: UUID, error: str) -> None:
    """Note a failure that somebody has to mend; it can be resumed then."""
    with connection.begin():
        connection.execute(_FAIL, {"backfill_id": backfill_id, "error": error})


async def request_backfill(
    connection: AsyncConnection,
    backfill_id: UUID,
    *,
    from_at: datetime,
    to_at: datetime,
    sink: str,
    form: str,
) -> UUID | None:
    """Write the request down, or join an equal one that is not over; returns the one that does it.

    None when too many wait.
    """
    wanted = {"from_at": from_at, "to_at": to_at, "sink": sink, "format": form}
    async with connection.begin():
        # Two requests at the same moment must find each other.
        await connection.execute(text("LOCK TABLE backfills IN SHARE ROW EXCLUSIVE MODE"))
        joined: UUID | None = (await connection.execute(_SAME, wanted)).scalar()
        if joined is not None:
            return joined
        if (await connection.execute(_WAITING)).scalar_one() >= MOST_WAITING:
            return None
        await connection.execute(_FORGET, {"remembered": REMEMBERED})
        await connection.execute(_REQUEST, wanted | {"backfill_id": backfill_id})
        return backfill_id


async def list_backfills(connection: AsyncConnection, most: int) -> list[Row[Any]]:
    """The newest first."""
    return list(await connection.execute(_LIST, {"most": most}))


async def read_backfill(connection: AsyncConnection, backfill_id: UUID) -> Row[Any] | None:
    """One of them."""
    return (await connection.execute(_READ, {"backfill_id": backfill_id})).one_or_none()


async def cancel_backfill(connection: AsyncConnection, backfill_id: UUID) -> bool:
    """End it after the segment under way; returns whether it was not over yet."""
    async with connection.begin():
        return bool((await connection.execute(_CANCEL, {"backfill_id": backfill_id})).rowcount)


async def resume_backfill(connection: AsyncConnection, backfill_id: UUID) -> bool:
    """Go on where it failed or was cancelled; returns whether it did."""
    async with connection.begin():
        return bool((await connection.execute(_RESUME, {"backfill_id": backfill_id})).rowcount)
