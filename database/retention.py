"""Forget what is kept no longer than promised."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from sqlalchemy import Connection, text

from core.event_id import first_id_at

_AT_ONCE: Final = 5_000
"""Rows in one transaction: nobody who writes letters waits for long."""

_FORGET_OLD = text("""
DELETE FROM dead_letters WHERE dead_letter_id IN (
  SELECT dead_letter_id FROM dead_letters WHERE dead_letter_id < :first
  ORDER BY dead_letter_id LIMIT :most)
""")
# Those of a sealed segment that a bucket still waits for are spared: each bucket gets the same.
# As many again, no more: a bucket that is away must not fill the disk.
_FORGET_EXCESS = text("""
DELETE FROM dead_letters WHERE dead_letter_id IN (
  SELECT dead_letter_id FROM dead_letters
  WHERE dead_letter_id <= (
    SELECT dead_letter_id FROM dead_letters ORDER BY dead_letter_id DESC OFFSET :kept LIMIT 1)
  AND NOT (
    segment_id IN (SELECT segment_id FROM segments WHERE state IN ('sealed', 'deduplicated'))
    AND dead_letter_id > coalesce(
      (SELECT dead_letter_id FROM dead_letters ORDER BY dead_letter_id DESC
       OFFSET 2 * CAST(:kept AS bigint) LIMIT 1),
      '00000000-0000-0000-0000-000000000000'))
  ORDER BY dead_letter_id LIMIT :most)
""")


# A recording whose last chunk is old gets no repeat any more.
_FORGET_RECORDINGS = text("""
DELETE FROM recordings WHERE ctid = ANY(ARRAY(
  SELECT ctid FROM recordings WHERE last_chunk_at < :before LIMIT :most))
""")


def forget_recordings(connection: Connection, *, before: datetime) -> int:
    """Forget which chunks there were of recordings that ended before a moment; returns how many."""
    forgotten = 0
    while True:
        with connection.begin():
            facts = {"before": before, "most": _AT_ONCE}
            deleted = connection.execute(_FORGET_RECORDINGS, facts).rowcount
        forgotten += deleted
        if deleted < _AT_ONCE:
            return forgotten


def forget_letters(connection: Connection, *, before: datetime, kept: int) -> int:
    """Delete the dead letters that arrived before a moment, and all but the newest `kept`.

    Of those that wait to be delivered as many again are spared. Replayed or not; in several
    transactions. Returns how many there were.
    """
    first = first_id_at(before)
    forgotten = 0
    for statement, facts in ((_FORGET_OLD, {"first": first}), (_FORGET_EXCESS, {"kept": kept})):
        while True:
            with connection.begin():
                deleted = connection.execute(statement, facts | {"most": _AT_ONCE}).rowcount
            forgotten += deleted
            if deleted < _AT_ONCE:
                break
    return forgotten
