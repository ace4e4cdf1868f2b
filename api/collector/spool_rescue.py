"""Rescue: what can still be read of a damaged file is queued again in the spool that followed it.

A page that is lost takes the entries along that lie on it, and no others: reading goes on behind
it. A page that is not what was written may look like one of the file's all the same, and send
whoever reads it to another place, or back: an entry is believed by its checksum, and to be the
next one when it has the next number, or when the way back from it leads to the one before. What
was written into PostgreSQL before the damage, and not forgotten yet, is queued again too; the
exporter drops it by its ids.
"""

from __future__ import annotations

import heapq
import itertools
import sqlite3
import zlib
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing
from operator import attrgetter
from pathlib import Path
from typing import Final, NamedTuple
from uuid import UUID

from api.collector.spool_entries import BEYOND_NUMBERS, SpoolEntry, entry_of, number_before
from api.collector.spool_file import log_has_lost

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
        has_lost = log_has_lost(self._path)
        with ExitStack() as stack:
            views = [stack.enter_context(_opened(self._path))]
            if has_lost or not _is_sound(views[0]):
                # What the log is laid over may be newer than what can be read of the log.
                views.append(stack.enter_context(_opened(self._path, without_log=True)))
            for table in _TABLES:
                for entry in _in_any(_Table(view, table) for view in views):
                    self.found += 1
                    self._events += entry.events
                    self._bytes += len(entry.body)
                    yield entry
            found = [self.found, self._events, self._bytes]
            self.is_complete = not has_lost and found == _promised(views[0])


def _opened(path: Path, *, without_log: bool = False) -> AbstractContextManager[sqlite3.Connection]:
    how = "immutable=1" if without_log else "mode=ro"
    connection = sqlite3.connect(f"file:{path}?{how}", uri=True)
    connection.text_factory = bytes
    return closing(connection)


def _is_sound(connection: sqlite3.Connection) -> bool:
    try:
        found = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.Error:
        return False
    return bool(found == (b"ok",))


def _promised(connection: sqlite3.Connection) -> list[int] | None:
    """Entries, events and bytes that the file says it has; None where it does not say so."""
    try:
        spool_id, entries, events, size = connection.execute(_EXPECTED).fetchone()
        UUID(spool_id.decode())
    except (sqlite3.Error, TypeError, ValueError, AttributeError):  # no file, tables or totals
        return None
    return [entries, events, size]


def _in_any(tables: Iterable[_Table]) -> Iterator[SpoolEntry]:
    """The entries of a table that is seen in more ways than one, each once."""
    number_of = attrgetter("number")
    both = heapq.merge(*(table.entries() for table in tables), key=number_of)
    for _, found in itertools.groupby(both, key=number_of):
        entries = [entry for _, entry in found if entry is not None]
        # One that may have been written is not to be written again unasked.
        yield next((entry for entry in entries if entry.in_doubt is not None), entries[0])


class _Table:
    """A table of which pages are lost, or lie."""

    def __init__(self, connection: sqlite3.Connection, name: str) -> None:
        self._connection = connection
        self._name = name

    def entries(self) -> Iterator[_Found]:
        """Every entry that is what was appended, by number, none of them twice."""
        number = 0
        while (found := self._next(number)).entry is not None:
            number = found.number
            yield found

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
