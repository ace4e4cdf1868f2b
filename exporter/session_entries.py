"""Which event began its session, and on which page.

The tracker makes a session's id, a UUIDv7, in the moment of its first event: by the browser's own
clock, which both tell, that event is as old as the id, and every other is younger. So most rows
answer for themselves, in whatever segment they are. Two things take memory of the rows before, in
the order of the segment: which of several events in the same quarter of a second was the first,
and the entry's path on the rows that follow it. The last 100,000 sessions that began are
remembered; what would take more is null.

Rows come in physical order without duplicates, so every reading of a segment gives the same,
however it is cut into batches.
"""

from __future__ import annotations

from binascii import unhexlify
from collections import deque
from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from exporter.distinct import Numbers, find_distinct

MAX_SESSIONS: Final = 100_000
BEGINNING_MS: Final = 250
"""How far an id's time and its first event's may be apart: both are asked of the same clock, with
a reading of the browser's storage in between."""
MAX_ENTRY_PATH_CHARS: Final = 500

_UUID_CHARS: Final = 36
_DASHES: Final = (8, 13, 18, 23)
_IS_DIGIT: Final = np.isin(np.arange(256), list(b"0123456789abcdefABCDEF"))
_UNKNOWN: Final = -1


def mark_entries(
    batches: Iterable[pa.RecordBatch], *, max_sessions: int = MAX_SESSIONS
) -> Iterator[pa.RecordBatch]:
    """Fill `is_entry` and `session_entry_path` of a segment's rows."""
    begun = _BegunSessions(max_sessions)
    for batch in batches:
        marked = _mark(batch, begun)
        del batch
        yield marked
        del marked


class _BegunSessions:
    """The last sessions that began: their entries' paths, forgotten in the order they came in."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._order: deque[tuple[str, int]] = deque()
        self.paths: dict[str, str] = {}
        """By session; empty where its entry has no path."""
        self.forgotten_until = _UNKNOWN
        """The latest beginning of those forgotten: one as old, and unknown, may be one of them."""

    def add(self, session: str, begun_ms: int, path: str) -> str | None:
        """Remember a session; returns the one forgotten for it."""
        self.paths[session] = path
        self._order.append((session, begun_ms))
        if len(self._order) <= self._limit:
            return None
        oldest, oldest_ms = self._order.popleft()
        self.forgotten_until = max(self.forgotten_until, oldest_ms)
        del self.paths[oldest]
        return oldest


def _mark(batch: pa.RecordBatch, begun: _BegunSessions) -> pa.RecordBatch:
    session_ids, site_ids = batch.column("session_id"), batch.column("site_id")
    if session_ids.null_count == len(session_ids):
        return batch
    firsts, codes = find_distinct([session_ids, site_ids])
    session_ids = session_ids.take(pa.array(firsts))
    begun_ms = _begun_ms(session_ids)
    age_ms, is_known = _ages(batch.column("device_occurred_at"), begun_ms[codes])
    candidates = np.flatnonzero(is_known & (age_ms <= BEGINNING_MS))
    is_entry = np.zeros(len(codes), dtype=bool)
    if len(candidates) or begun.paths:
        names = pc.binary_join_element_wise(session_ids, site_ids.take(pa.array(firsts)), "|")
        entries = _Entries(names.to_pylist(), begun, rows=len(codes))
        paths = batch.column("path").take(pa.array(candidates)).to_pylist()
        for row, path in zip(candidates.tolist(), paths, strict=True):
            number = int(codes[row])
            is_first = entries.begin(number, int(begun_ms[number]), row, path)
            is_entry[row], is_known[row] = is_first is True, is_first is not None
        batch = _set(batch, "session_entry_path", entries.paths_by_row(codes))
    return _set(batch, "is_entry", pa.array(is_entry, mask=~is_known))


class _Entries:
    """A batch's sessions: the path that each began on, and for which of the rows it is known."""

    def __init__(self, names: list[str], begun: _BegunSessions, *, rows: int) -> None:
        self._names = names
        self._begun = begun
        self._paths = [begun.paths.get(name) for name in names]
        self._from_row: dict[int, int] = {}
        self._until_row = np.full(len(names), rows)

    def begin(self, number: int, begun_ms: int, row: int, path: str | None) -> bool | None:
        """Whether a row that is as old as its session began it; None where that is forgotten."""
        name = self._names[number]
        if name in self._begun.paths:
            return False
        if begun_ms <= self._begun.forgotten_until:
            return None
        cut = (path or "")[:MAX_ENTRY_PATH_CHARS]
        self._paths[number], self._from_row[number] = cut, row
        forgotten = self._begun.add(name, begun_ms, cut)
        if forgotten is not None and forgotten in self._numbers:
            self._until_row[self._numbers[forgotten]] = row
        return True

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {name: number for number, name in enumerate(self._names)}

    def paths_by_row(self, codes: Numbers) -> pa.Array:
        paths = pa.array(self._paths, pa.string())
        from_row = np.zeros(len(paths), dtype=np.int64)
        from_row[list(self._from_row)] = list(self._from_row.values())
        rows = np.arange(len(codes))
        is_told = (rows >= from_row[codes]) & (rows < self._until_row[codes])
        paths = pc.if_else(pc.equal(paths, ""), None, paths)
        return paths.take(pa.array(codes, mask=~is_told))


def _ages(times: pa.Array, begun_ms: Numbers) -> tuple[Numbers, npt.NDArray[np.bool_]]:
    """How old each row's session was, in ms, and whether that is known.

    An event from before its session's id was made is not: the clock was set back in between.
    """
    at_ms = pc.fill_null(times.cast(pa.int64()), 0).to_numpy() // 1_000
    age_ms = at_ms - begun_ms
    is_told = times.is_valid().to_numpy(zero_copy_only=False)
    return age_ms, is_told & (begun_ms != _UNKNOWN) & (age_ms >= -BEGINNING_MS)


def _begun_ms(session_ids: pa.Array) -> Numbers:
    """The time in each UUIDv7, in ms since 1970; -1 for any other id."""
    begun = np.full(len(session_ids), _UNKNOWN, dtype=np.int64)
    is_long = pc.fill_null(pc.equal(pc.binary_length(session_ids), _UUID_CHARS), False)
    uuids = session_ids.filter(is_long).cast(pa.binary()).cast(pa.binary(_UUID_CHARS))
    if not len(uuids):
        return begun
    characters = np.frombuffer(uuids.buffers()[1], dtype=np.uint8)
    characters = characters[: len(uuids) * _UUID_CHARS].reshape(-1, _UUID_CHARS)
    digits = np.concatenate([characters[:, :8], characters[:, 9:13]], axis=1)
    is_v7 = characters[:, 14] == ord("7")
    for place in _DASHES:
        is_v7 &= characters[:, place] == ord("-")
    try:
        times = unhexlify(digits.tobytes())
    except ValueError:  # some are no digits
        is_v7 &= _IS_DIGIT[digits].all(axis=1)
        digits[~is_v7] = ord("0")
        times = unhexlify(digits.tobytes())
    wide = np.zeros((len(uuids), 8), dtype=np.uint8)
    wide[:, 2:] = np.frombuffer(times, dtype=np.uint8).reshape(-1, 6)
    found = np.where(is_v7, wide.view(">i8")[:, 0], _UNKNOWN)
    begun[is_long.to_numpy(zero_copy_only=False)] = found
    return begun


def _set(batch: pa.RecordBatch, name: str, values: pa.Array) -> pa.RecordBatch:
    position = batch.schema.get_field_index(name)
    return batch.set_column(position, batch.schema.field(position), values)
