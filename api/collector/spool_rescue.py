"""Rescue: what can still be read of a damaged file is queued again in the spool that followed it.

A page that is lost takes the entries along that lie on it, and no others: reading goes on behind
it. (But for the file's first page and the root of the table: only they lead to the rest.) A page
that is not what was written may look like one of the file's all the same, and send whoever reads
it to another place, or back: an entry is believed by its checksum, and to be the next one when it
has the next number, or when the way back from it leads to the one before. What was written into
PostgreSQL before the damage, and not forgotten yet, is queued again too; the exporter drops it by
its ids.

A little is read and queued at a time, so that it takes no more room than that, and no longer to
stop. How far it has come is written in the transaction that queues: whoever goes on after a crash
reads from the beginning, and queues only what comes behind. (Where the file that says so is damaged
in its turn, all is queued again.)
"""

from __future__ import annotations

import heapq
import itertools
import sqlite3
import zlib
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, closing
from operator import attrgetter
from pathlib import Path
from typing import Final, NamedTuple, TypeVar
from uuid import UUID

from api.collector.spool_entries import (
    BEYOND_NUMBERS,
    Place,
    SpoolEntry,
    entry_of,
    number_before,
)
from api.collector.spool_errors import error_code
from api.collector.spool_file import file_in, log_has_lost

_BATCH_BYTES: Final = 1_000_000
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
_UNREADABLE: Final = (sqlite3.Error, TypeError, ValueError, AttributeError, MemoryError)
# What another attempt may not meet: no room for a log's index, no file descriptor left.
_PASSING: Final = (
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_PROTOCOL,
)
_UNREADABLE_SECTOR: Final = (sqlite3.SQLITE_IOERR_READ, sqlite3.SQLITE_IOERR_SHORT_READ)


Result = TypeVar("Result")


class _Found(NamedTuple):
    """An entry and its number; the end of the table has the number `BEYOND_NUMBERS`."""

    number: int
    entry: SpoolEntry | None
    follows: bool = False
    """Nothing can be missing between the one before and this."""


_END: Final = _Found(BEYOND_NUMBERS, None)


class Rescued(NamedTuple):
    """An entry that can be read, and where it stood."""

    place: Place
    entry: SpoolEntry


class Rescue:
    """Reads one damaged file, once."""

    def __init__(self, folder: Path, *, after: Place, gives_up: bool) -> None:
        """What stands up to that place is read, and not given out.

        With `gives_up`, what cannot be read now counts as damaged, whatever the reason.
        """
        self.folder = folder
        self._path = file_in(folder)
        self._after = after
        self._gives_up = gives_up
        self._reading = self._read()
        self._batch: list[Rescued] = []
        self.found = 0
        self._events = self._bytes = 0
        self.is_complete = False
        """Whether that was all that the file ever promised; known at the end."""

    def next_batch(self) -> Sequence[Rescued]:
        """What comes next, the same again until it was taken; empty at the end.

        Never raises for what the file holds; sqlite3.Error and OSError for what may pass, after
        which there is no next one.
        """
        size = sum(len(rescued.entry.body) for rescued in self._batch)
        while size < _BATCH_BYTES and (rescued := next(self._reading, None)) is not None:
            self._batch.append(rescued)
            size += len(rescued.entry.body)
        return self._batch

    def take(self, many: int) -> None:
        """So many of the batch are queued."""
        self._batch = self._batch[many:]

    def close(self) -> None:
        """Let go of the file."""
        self._reading.close()

    def _read(self) -> Generator[Rescued]:
        if not self._path.exists() or not self._path.stat().st_size:
            return  # SQLite would delete the log beside it, which a person may want to look at
        with ExitStack() as stack:
            views = [stack.enter_context(closing(view)) for view in self._views()]
            has_lost = self._has_lost()
            for rescued in _Views(views, is_log_damaged=has_lost).entries():
                self.found += 1
                self._events += rescued.entry.events
                self._bytes += len(rescued.entry.body)
                if rescued.place > self._after:
                    yield rescued
            found = [self.found, self._events, self._bytes]
            self.is_complete = not has_lost and bool(views) and found == views[0].ask(_promised)

    def _views(self) -> Iterator[_View]:
        """With its log, and without: what the log is laid over may be all that is there."""
        for how in ("mode=ro", "immutable=1"):
            uri = f"{self._path.absolute().as_uri()}?{how}"
            try:
                connection = sqlite3.connect(uri, uri=True, check_same_thread=False)
            except sqlite3.Error:
                if not self._gives_up:
                    raise
            else:
                yield _View(connection, gives_up=self._gives_up)

    def _has_lost(self) -> bool:
        try:
            return log_has_lost(self._path)
        except OSError:
            if not self._gives_up:
                raise
            return True  # the disk does not read it


class _View:
    """One way to read the file."""

    def __init__(self, connection: sqlite3.Connection, *, gives_up: bool) -> None:
        self._connection = connection
        self._connection.text_factory = bytes
        self._gives_up = gives_up

    def ask(self, question: Callable[[sqlite3.Connection], Result]) -> Result | None:
        """What it answers; None where that cannot be read. sqlite3.Error is for what may pass."""
        try:
            return question(self._connection)
        except _UNREADABLE as exc:
            if _may_pass(exc) and not self._gives_up:
                raise
            return None

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()


def _may_pass(exc: Exception) -> bool:
    code = getattr(exc, "sqlite_errorcode", 0)
    return error_code(exc) in _PASSING and code not in _UNREADABLE_SECTOR


def _promised(connection: sqlite3.Connection) -> list[int]:
    """Entries, events and bytes that the file says it has."""
    spool_id, entries, events, size = connection.execute(_EXPECTED).fetchone()
    UUID(spool_id.decode())
    return [entries, events, size]


class _Views:
    """One file, seen in more ways than one."""

    def __init__(self, views: Sequence[_View], *, is_log_damaged: bool) -> None:
        self._views = views
        self._merge = _in_any if is_log_damaged else _in_gaps

    def entries(self) -> Iterator[Rescued]:
        """Every entry once, though it was queued yet, or again, where it is set aside elsewhere."""
        queued, aside = ([_Table(view, name) for view in self._views] for name in _TABLES)
        set_aside = {_looks(found) for table in aside for found in table.walk() if found.entry}
        told = set()
        for found in self._merge(queued):
            if (looks := _looks(found)) in set_aside:
                told.add(looks)
            yield Rescued((0, found.number), _entry(found))
        for found in self._merge(aside):
            if _looks(found) not in told:
                yield Rescued((1, found.number), _entry(found))


def _in_gaps(tables: Sequence[_Table]) -> Iterator[_Found]:
    """What is in the first, and of the others what may have stood where nothing can be read there.

    Elsewhere a view without the log has what was forgotten since.
    """
    if not tables:
        return
    first, *others = tables
    after = 0
    for found in first.walk():
        for other in others if not found.follows else ():
            while (missed := other.next(after)).number < found.number:
                yield missed
                after = missed.number
        if found.entry is not None:
            yield found
        after = found.number


def _in_any(tables: Sequence[_Table]) -> Iterator[_Found]:
    """What is in one or another: where the log is damaged, no view is sure to be the newer one."""
    number_of = attrgetter("number")
    both = heapq.merge(*(table.walk() for table in tables), key=number_of)
    for number, alike in itertools.groupby(both, key=number_of):
        if number == BEYOND_NUMBERS:
            return
        found = list(alike)
        # One that may have been written is not to be written again unasked.
        yield next((one for one in found if _entry(one).in_doubt is not None), found[0])


def _entry(found: _Found) -> SpoolEntry:
    assert found.entry is not None, "the end of a table is none"
    return found.entry


def _looks(found: _Found) -> tuple[int, int]:
    body = _entry(found).body
    return len(body), zlib.crc32(body)


class _Table:
    """A table of which pages are lost, or lie."""

    def __init__(self, view: _View, name: str) -> None:
        self._view = view
        self._name = name

    def walk(self) -> Iterator[_Found]:
        """Every entry that is what was appended, by number, none of them twice; then the end."""
        number = 0
        while number < BEYOND_NUMBERS:
            found = self.next(number)
            yield found
            number = found.number

    def next(self, after: int) -> _Found:
        """The next entry that can be read."""
        found = self._read(after)
        if found and (after == found.number - 1 or after == self._before(found.number)):
            return found._replace(follows=True)
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

        def follower(connection: sqlite3.Connection) -> _Found | None:
            row = connection.execute(_AFTER.format(self._name), [after]).fetchone()
            if row is None:
                return _END
            number, events, writer_id, xid, checksum, body = row
            if not after < number < BEYOND_NUMBERS or zlib.crc32(body) != checksum:
                return None
            return _Found(number, entry_of(events, writer_id, xid, body))

        return self._view.ask(follower)

    def _before(self, number: int) -> int:
        """The number before; 0 when there is none, -1 when nobody can tell."""
        before = self._view.ask(lambda connection: number_before(connection, self._name, number))
        return -1 if before is None else before
