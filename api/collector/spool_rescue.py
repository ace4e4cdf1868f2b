"""Rescue: what can still be read of a damaged file is queued again in the spool that followed it.

A page that is lost takes the entries along that lie on it, and no others: reading goes on behind
it. A page that is not what was written may look like one of the file's all the same, and send
whoever reads it to another place, or back: an entry is believed by its checksum, and to be the
next one when it has the next number, or when the way back from it leads to the one before. What
was written into PostgreSQL before the damage, and not forgotten yet, is queued again too; the
exporter drops it by its ids.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final, NamedTuple
from uuid import UUID

from api.collector.spool_entries import BEYOND_NUMBERS, SpoolEntry, entry_of, number_before

_TABLES: Final = ("entries", "entries_set_aside")
_AFTER: Final = """
SELECT number, events, in_doubt_writer, in_doubt_xid, checksum, body FROM {}
WHERE number > ? ORDER BY number LIMIT 1
"""
_EXPECTED: Final = """
SELECT spool_id, spool.entries + count(e.number), spool.events + total(e.events),
  spool.bytes + total(length(e.body))
FROM spool LEFT JOIN entries_set_aside AS e ON true
"""
# Of a row of which a page is lost, or was never one; MemoryError where a length is made up.
_UNREADABLE: Final = (sqlite3.Error, TypeError, ValueError, MemoryError)


class _Found(NamedTuple):
    """An entry and its number; the end of the table has the number `BEYOND_NUMBERS`."""

    number: int
    entry: SpoolEntry | None


_END: Final = _Found(BEYOND_NUMBERS, None)


class Rescue:
    """Reads one damaged file; `entries` may be gone through once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.found = 0
        self._events = self._bytes = 0
        self.is_complete = False
        """Whether that was all that the file ever promised; known at the end."""

    def entries(self) -> Iterator[SpoolEntry]:
        """Every entry that is what was appended; never raises for what the file holds."""
        if not self._path.exists() or not self._path.stat().st_size:
            return  # SQLite would delete the log beside it, which a person may want to look at
        try:
            with closing(sqlite3.connect(f"file:{self._path}?mode=ro", uri=True)) as connection:
                connection.text_factory = bytes
                for table in _TABLES:
                    for entry in _Table(connection, table).entries():
                        self.found += 1
                        self._events += entry.events
                        self._bytes += len(entry.body)
                        yield entry
                spool_id, *expected = connection.execute(_EXPECTED).fetchone()
                UUID(spool_id.decode())
                self.is_complete = expected == [self.found, self._events, self._bytes]
        except (sqlite3.Error, TypeError, ValueError, AttributeError):  # no file, tables or totals
            self.is_complete = False


class _Table:
    """A table of which pages are lost, or lie."""

    def __init__(self, connection: sqlite3.Connection, name: str) -> None:
        self._connection = connection
        self._name = name

    def entries(self) -> Iterator[SpoolEntry]:
        """Every entry that is what was appended, by number, none of them twice."""
        number = 0
        while (found := self._next(number)).entry is not None:
            number = found.number
            yield found.entry

    def _next(self, after: int) -> _Found:
        """The next entry that can be read."""
        found = self._read(after)
        if found and (after == found.number - 1 or after == self._before(found.number)):
            return found
        most = found or _END
        low, high = after, after + 1
        while (nearer := self._read_below(most, after=high)) is None:
            low, high = high, after + 2 * (high - after)
            if high >= most.number:
                break
        if nearer is None:
            high = self._before(most.number) - 1
            if high <= after or (nearer := self._read_below(most, after=high)) is None:
                return most
            low = after
        # That went too far, perhaps: back to the first place from where there is a next one.
        while high - low > 1:
            middle = (low + high) // 2
            earlier = self._read_below(most, after=middle)
            if earlier is None:
                low = middle
            else:
                high, nearer = middle, earlier
        return nearer

    def _read_below(self, most: _Found, *, after: int) -> _Found | None:
        found = self._read(after)
        return found if found is not None and found.number < most.number else None

    def _read(self, after: int) -> _Found | None:
        """The entry that follows a number, by the file; None when that cannot be so."""
        try:
            row = self._connection.execute(_AFTER.format(self._name), [after]).fetchone()
            if row is None:
                return _END
            number, events, writer_id, xid, checksum, body = row
            if after < number < BEYOND_NUMBERS and zlib.crc32(body) == checksum:
                return _Found(number, entry_of(events, writer_id, xid, body))
        except _UNREADABLE:
            pass
        return None

    def _before(self, number: int) -> int:
        """The number before; 0 when there is none, -1 when nobody can tell."""
        try:
            return number_before(self._connection, self._name, number)
        except _UNREADABLE:
            return -1
