"""Rescue: what can still be read of a damaged file is queued again in the spool that followed it.

A page that is lost takes the entries along that lie on it, and no others: reading goes on behind
it. What was written into PostgreSQL before the damage, and not forgotten yet, is queued again
too; the exporter drops it by its ids.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

from api.collector.spool_entries import SpoolEntry, entry_of

_LAST: Final = 2**62
_TABLES: Final = ("entries", "entries_set_aside")
_NEXT: Final = "SELECT number FROM {} WHERE number > ? ORDER BY number LIMIT 1"
_READ: Final = """
SELECT events, in_doubt_writer, in_doubt_xid, checksum, body FROM {} WHERE number = ?
"""
_EXPECTED: Final = "SELECT entries + (SELECT count(*) FROM entries_set_aside) FROM spool"


class Rescue:
    """Reads one damaged file; `entries` may be gone through once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.found = 0
        self.is_complete = False
        """Whether that was all that the file ever promised; known at the end."""

    def entries(self) -> Iterator[SpoolEntry]:
        """Every entry that is what was appended; never raises for what the file holds."""
        try:
            with closing(sqlite3.connect(f"file:{self._path}?mode=ro", uri=True)) as connection:
                for table in _TABLES:
                    yield from self._entries_of(connection, table)
                (expected,) = connection.execute(_EXPECTED).fetchone()
                self.is_complete = self.found == expected
        except (sqlite3.Error, TypeError):  # no file, no tables, no totals
            self.is_complete = False

    def _entries_of(self, connection: sqlite3.Connection, table: str) -> Iterator[SpoolEntry]:
        number = 0
        while (number := _next_number(connection, table, after=number)) < _LAST:
            entry = _read(connection, table, number)
            if entry is not None:
                self.found += 1
                yield entry


def _next_number(connection: sqlite3.Connection, table: str, *, after: int) -> int:
    """The number of the next entry whose head can be read; `_LAST` when there is none."""
    found = _find(connection, table, after=after)
    if found is not None:
        return found
    low, high = after, after + 1
    while (found := _find(connection, table, after=high)) is None:
        low, high = high, after + 2 * (high - after)
        if high > _LAST:
            return _LAST
    # That went too far, perhaps: back to the first place from where there is a next one.
    while high - low > 1:
        middle = (low + high) // 2
        earlier = _find(connection, table, after=middle)
        if earlier is None:
            low = middle
        else:
            high, found = middle, earlier
    return found


def _find(connection: sqlite3.Connection, table: str, *, after: int) -> int | None:
    """The next number, `_LAST` when there is none, None when the place cannot be read."""
    try:
        row = connection.execute(_NEXT.format(table), [after]).fetchone()
    except sqlite3.DatabaseError:
        return None
    return row[0] if row else _LAST


def _read(connection: sqlite3.Connection, table: str, number: int) -> SpoolEntry | None:
    try:
        row = connection.execute(_READ.format(table), [number]).fetchone()
        events, writer_id, xid, checksum, body = row
        is_intact = zlib.crc32(body) == checksum
    except (sqlite3.DatabaseError, TypeError, ValueError):
        return None
    return entry_of(events, writer_id, xid, body) if is_intact else None
