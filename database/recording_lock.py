"""What keeps an erasure and a delivery of the same segment's recordings apart.

An advisory lock for each segment: a delivery holds it shared while it is committed, an erasure
takes it exclusively. So no manifest lists what was counted as erased. Whoever drops the segment
takes it, too: those two would else wait for each other, chunks in hand or their counts.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

from sqlalchemy import Connection, text
from sqlalchemy.exc import SQLAlchemyError

RECORDINGS_LOCK: Final = 7_261_019
"""The first of the lock's two numbers; the segment is the second."""

_TAKE = text(f"SELECT pg_advisory_lock_shared({RECORDINGS_LOCK}, CAST(:segment_id AS integer))")
_WAIT = text("SET LOCAL lock_timeout = '30s'")
LOCK_RECORDINGS = text(
    f"SELECT pg_advisory_xact_lock({RECORDINGS_LOCK}, CAST(:segment_id AS integer))"
)
_LET_GO = text(f"SELECT pg_advisory_unlock_shared({RECORDINGS_LOCK}, CAST(:segment_id AS integer))")


@contextmanager
def hold_recordings(connection: Connection, segment_id: int) -> Iterator[None]:
    """While a delivery is committed: nobody erases the segment's chunks meanwhile."""
    # An erasure takes moments; one that hangs must not hold up the events of the segment for ever.
    connection.execute(_WAIT)
    connection.execute(_TAKE, {"segment_id": segment_id})
    connection.rollback()  # it is the session's, and lasts
    try:
        yield
    finally:
        with suppress(SQLAlchemyError):  # a connection that is gone has let go of it
            connection.rollback()
            connection.execute(_LET_GO, {"segment_id": segment_id})
        connection.rollback()  # which is how a connection that is gone is got back


def lock_recordings(connection: Connection, segment_id: int) -> None:
    """Within a transaction: nobody erases or delivers the segment's chunks until it ends."""
    connection.execute(LOCK_RECORDINGS, {"segment_id": segment_id})
