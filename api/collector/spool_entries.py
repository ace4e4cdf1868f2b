"""The entries of a spool: what one holds, and the SQL that keeps them and their totals."""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from api.collector.spool_errors import SpoolDamaged

PAUSE_SECONDS: Final = 60.0
"""Nothing appended for so long: the next append begins another outage."""

# AUTOINCREMENT: a number is never given out again, not even by an emptied spool.
CREATE_ENTRIES: Final = """
CREATE TABLE entries (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  appended_at REAL NOT NULL,
  events INTEGER NOT NULL,
  in_doubt_writer INTEGER,
  in_doubt_xid INTEGER,
  checksum INTEGER NOT NULL,
  body BLOB NOT NULL
)
"""

# What could not be replayed; it gets another number when it is tried again.
CREATE_ENTRIES_SET_ASIDE: Final = """
CREATE TABLE entries_set_aside (
  number INTEGER PRIMARY KEY,
  set_aside_at REAL NOT NULL,
  reason TEXT NOT NULL,
  appended_at REAL NOT NULL,
  events INTEGER NOT NULL,
  in_doubt_writer INTEGER,
  in_doubt_xid INTEGER,
  checksum INTEGER NOT NULL,
  body BLOB NOT NULL
)
"""

# Totals are kept, since counting millions of entries would take seconds.
CREATE_TOTALS: Final = """
CREATE TABLE spool (
  singleton INTEGER PRIMARY KEY CHECK (singleton = 1),
  spool_id TEXT NOT NULL,
  entries INTEGER NOT NULL DEFAULT 0,
  events INTEGER NOT NULL DEFAULT 0,
  bytes INTEGER NOT NULL DEFAULT 0,
  appended_at REAL NOT NULL DEFAULT 0,
  filling_since REAL NOT NULL DEFAULT 0,
  filled_bytes INTEGER NOT NULL DEFAULT 0
)
"""

# How far the rescue of a damaged file has come: written with what it queued.
CREATE_RESCUES: Final = """
CREATE TABLE IF NOT EXISTS rescues (
  folder TEXT PRIMARY KEY,
  part INTEGER NOT NULL,
  number INTEGER NOT NULL
)
"""

_END_OF_TIME: Final = 1e11  # in seconds; a datetime ends later
BEYOND_NUMBERS: Final = 2**62
"""No entry has such a number, nor a higher one."""

Place = tuple[int, int]
"""Which part of a damaged file was queued again, and up to which number."""

_LAST_NUMBER: Final = "SELECT seq FROM sqlite_sequence WHERE name = 'entries'"
_FORGET_LAST_NUMBER: Final = "DELETE FROM sqlite_sequence WHERE name = 'entries'"
_SET_LAST_NUMBER: Final = "INSERT INTO sqlite_sequence (name, seq) VALUES ('entries', ?)"

_APPEND: Final = """
INSERT INTO entries (appended_at, events, in_doubt_writer, in_doubt_xid, checksum, body)
VALUES (?, ?, ?, ?, ?, ?)
"""
_COUNT_APPENDED: Final = """
UPDATE spool SET
  filling_since = CASE WHEN entries = 0 OR :now - appended_at > :pause
    THEN :now ELSE filling_since END,
  filled_bytes = CASE WHEN entries = 0 OR :now - appended_at > :pause
    THEN 0 ELSE filled_bytes END + :bytes,
  appended_at = :now,
  entries = entries + :entries, events = events + :events, bytes = bytes + :bytes
"""
_RESCUED_THROUGH: Final = "SELECT part, number FROM rescues WHERE folder = ?"
_NOTE_RESCUED: Final = "INSERT OR REPLACE INTO rescues (folder, part, number) VALUES (?, ?, ?)"
_FORGET_RESCUE: Final = "DELETE FROM rescues WHERE folder = ?"
_FIRST: Final = """
SELECT number, appended_at, events, in_doubt_writer, in_doubt_xid, checksum, body
FROM entries ORDER BY number
"""
# One statement, one moment: between two of them another process appends.
_UNACCOUNTED: Final = """
SELECT 1 FROM spool WHERE NOT EXISTS (SELECT 1 FROM entries)
AND (entries <> 0 OR events <> 0 OR bytes <> 0)
"""
# The length of a blob is told by its head: its body is not read.
_WEIGH: Final = """
SELECT count(*), coalesce(sum(events), 0), coalesce(sum(length(body)), 0) FROM entries
WHERE number BETWEEN ? AND ?
"""
_COUNT_FORGOTTEN: Final = """
UPDATE spool SET entries = entries - ?, events = events - ?, bytes = bytes - ?
"""
_BEFORE: Final = "SELECT number FROM {} WHERE number < ? ORDER BY number DESC LIMIT 1"
_FORGET: Final = "DELETE FROM entries WHERE number BETWEEN ? AND ?"
_READ: Final = """
SELECT number, appended_at, events, in_doubt_writer, in_doubt_xid, checksum, body
FROM entries WHERE number = ?
"""
_SET_ASIDE: Final = """
INSERT INTO entries_set_aside (set_aside_at, reason, number, appended_at, events,
  in_doubt_writer, in_doubt_xid, checksum, body)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_FIRST_SET_ASIDE: Final = """
SELECT number, appended_at, events, in_doubt_writer, in_doubt_xid, checksum, body
FROM entries_set_aside WHERE number <= ? ORDER BY number LIMIT 1
"""
_FORGET_SET_ASIDE: Final = "DELETE FROM entries_set_aside WHERE number = ?"
_TOTALS: Final = """
SELECT entries, events, bytes, appended_at, filling_since, filled_bytes,
  (SELECT appended_at FROM entries ORDER BY number LIMIT 1),
  (SELECT count(*) FROM entries_set_aside)
FROM spool
"""


@dataclass(frozen=True, slots=True)
class InDoubt:
    """A transaction whose outcome nobody was told: the connection broke while it ran."""

    writer_id: int
    transaction_id: int


@dataclass(frozen=True, slots=True)
class SpoolEntry:
    """What is kept: opaque bytes, how many events are in them, and what is known of them."""

    body: bytes
    events: int
    in_doubt: InDoubt | None = None
    """What may have written it already: PostgreSQL is to be asked before a replay."""


@dataclass(frozen=True, slots=True)
class StoredEntry:
    """An entry as it stands in the spool."""

    spool_id: UUID
    number: int
    appended_at: datetime
    entry: SpoolEntry
    is_intact: bool
    """Whether its body is what was appended, by its checksum."""


@dataclass(frozen=True, slots=True)
class Totals:
    """What is kept of all entries together."""

    entries: int
    events: int
    bytes: int
    appended_at: float
    """When the last was appended."""
    filling_since: float
    """When this outage began, by what was appended."""
    filled_bytes: int
    """Appended since then."""
    oldest_appended_at: float | None
    set_aside: int

    def bytes_a_second(self, now: float) -> float | None:
        """How fast the spool fills; None when it does not, or nobody can tell yet."""
        seconds = now - self.filling_since
        if not self.entries or now - self.appended_at > PAUSE_SECONDS or seconds <= 0:
            return None
        return self.filled_bytes / seconds


def skip_numbers(connection: sqlite3.Connection, *, now: float) -> None:
    """Give out no number below the present microsecond; in the caller's transaction.

    A file that is brought back from a backup does not know which numbers it gave out since.
    Raises SpoolDamaged.
    """
    row = connection.execute(_LAST_NUMBER).fetchone()
    last = row[0] if row else 0
    if not isinstance(last, int) or not 0 <= last < BEYOND_NUMBERS:
        raise SpoolDamaged("its last number is none that was given out")
    last = max(last, int(now * 1_000_000))
    connection.execute(_FORGET_LAST_NUMBER)
    connection.execute(_SET_LAST_NUMBER, [last])


def append(connection: sqlite3.Connection, entries: Sequence[SpoolEntry], *, now: float) -> None:
    """Add entries and count them; in the caller's transaction."""
    _insert(connection, [_values(entry, now) for entry in entries], now=now)


def read_first(
    connection: sqlite3.Connection, *, spool_id: UUID, max_bytes: int
) -> Iterator[StoredEntry]:
    """The oldest entries, in order; together no larger than the limit, but for the first.

    Raises SpoolDamaged where one is no entry, or is not the one that comes next.
    """
    size = last = 0
    cursor = connection.execute(_FIRST)
    try:
        for number, appended_at, events, writer_id, xid, checksum, body in cursor:
            # A page that is not what was written leads to another place, or back; and whoever
            # forgets up to a number forgets those that were passed over, too.
            if last != number - 1 and last != number_before(connection, "entries", number):
                raise SpoolDamaged(f"entry {number} does not come after {last}")
            last = number
            size += len(body)
            if size > max_bytes and size > len(body):
                return
            is_intact = zlib.crc32(body) == checksum
            entry = entry_of(events, writer_id, xid, body)
            yield StoredEntry(spool_id, number, moment(appended_at), entry, is_intact)
        if not last and connection.execute(_UNACCOUNTED).fetchone():
            raise SpoolDamaged("entries are counted, and none is found")
    except (TypeError, ValueError, OverflowError) as exc:
        raise SpoolDamaged(f"what comes after entry {last} is none") from exc
    finally:
        cursor.close()  # whoever reads holds the log up


def number_before(connection: sqlite3.Connection, table: str, number: int) -> int:
    """The number of the entry before another one; 0 for the first."""
    row = connection.execute(_BEFORE.format(table), [number]).fetchone()
    before: int = row[0] if row else 0
    return before


def delete(connection: sqlite3.Connection, first: int, last: int) -> None:
    """Take entries out, and out of the totals; in the caller's transaction."""
    connection.execute(_COUNT_FORGOTTEN, connection.execute(_WEIGH, (first, last)).fetchone())
    connection.execute(_FORGET, (first, last))


def set_aside(connection: sqlite3.Connection, number: int, *, reason: str, now: float) -> None:
    """Keep an entry where no replay comes; in the caller's transaction.

    Raises SpoolDamaged when there is none of that number, though somebody has read it.
    """
    row = connection.execute(_READ, [number]).fetchone()
    if row is None:
        raise SpoolDamaged(f"entry {number} is not found by its number")
    # Deleted first: a full spool has no other room for it than its own.
    delete(connection, number, number)
    connection.execute(_SET_ASIDE, (now, reason, *row))


def last_set_aside(connection: sqlite3.Connection) -> int:
    """The highest number that was set aside; 0 when there is none."""
    row = connection.execute("SELECT coalesce(max(number), 0) FROM entries_set_aside").fetchone()
    number: int = row[0]
    return number


def take_back(connection: sqlite3.Connection, *, through: int, now: float) -> bool:
    """Queue the first entry that was set aside again, behind all others; False without one.

    Raises SpoolDamaged.
    """
    row = connection.execute(_FIRST_SET_ASIDE, [through]).fetchone()
    if row is None:
        return False
    # A damaged page may show a row that is not found by its number: it would be taken for ever.
    if connection.execute(_FORGET_SET_ASIDE, [row[0]]).rowcount != 1:
        raise SpoolDamaged(f"entry {row[0]} is not found by its number")
    try:
        _insert(connection, [row[1:]], now=now)
    except (TypeError, ValueError, OverflowError) as exc:
        raise SpoolDamaged(f"what was set aside as entry {row[0]} is none") from exc
    return True


def rescued_through(connection: sqlite3.Connection, folder: str) -> Place:
    """How far the rescue of a folder's file has come. Raises SpoolDamaged."""
    part, number = connection.execute(_RESCUED_THROUGH, [folder]).fetchone() or (0, 0)
    if not (isinstance(part, int) and isinstance(number, int)):
        raise SpoolDamaged("how far a rescue has come is no number")
    return part, number


def note_rescued(connection: sqlite3.Connection, folder: str, place: Place) -> None:
    """Remember how far it has come; in the transaction that queues what was read."""
    connection.execute(_NOTE_RESCUED, (folder, *place))


def forget_rescue(connection: sqlite3.Connection, folder: str) -> None:
    """Nothing is left to read there; in the caller's transaction."""
    connection.execute(_FORGET_RESCUE, [folder])


def read_totals(connection: sqlite3.Connection) -> Totals:
    """A few reads, however much is in the spool. Raises SpoolDamaged."""
    row = connection.execute(_TOTALS).fetchone()
    if row is None or not all(isinstance(number, int | float) for number in (*row[:6], row[7])):
        raise SpoolDamaged("its totals are none")
    if not isinstance(row[6], int | float | None) or not 0 <= (row[6] or 0) < _END_OF_TIME:
        raise SpoolDamaged("its oldest entry has no time")
    return Totals(*row)


def moment(timestamp: float) -> datetime:
    """A time as it is kept, as everybody else has it; raises SpoolDamaged for what is none."""
    if not 0 <= timestamp < _END_OF_TIME:
        raise SpoolDamaged("an entry has no time")
    return datetime.fromtimestamp(timestamp, UTC)


_Row = tuple[float, int, int | None, int | None, int, bytes]


def _insert(connection: sqlite3.Connection, rows: Sequence[_Row], *, now: float) -> None:
    connection.executemany(_APPEND, rows)
    counted = {
        "now": now,
        "pause": PAUSE_SECONDS,
        "entries": len(rows),
        "events": sum(row[1] for row in rows),
        "bytes": sum(len(row[-1]) for row in rows),
    }
    connection.execute(_COUNT_APPENDED, counted)


def _values(entry: SpoolEntry, now: float) -> _Row:
    doubt = entry.in_doubt
    writer_id, xid = (doubt.writer_id, doubt.transaction_id) if doubt else (None, None)
    return now, entry.events, writer_id, xid, zlib.crc32(entry.body), entry.body


def entry_of(events: int, writer_id: int | None, xid: int | None, body: bytes) -> SpoolEntry:
    """An entry of its columns; raises TypeError for what no entry has in them."""
    if not (isinstance(events, int) and isinstance(body, bytes)):
        raise TypeError("events are counted, and a body is bytes")
    if not (isinstance(writer_id, int | None) and isinstance(xid, int | None)):
        raise TypeError("a writer and its transaction have numbers")
    doubt = InDoubt(writer_id, xid) if writer_id is not None and xid is not None else None
    return SpoolEntry(body, events, doubt)
