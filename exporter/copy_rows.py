"""Rows of a query as PostgreSQL sends them, read where they were received.

A `COPY` is read from libpq, and so by ADBC, one row at a time: each is allocated, freed and copied
into a column that grows, in memory that the kernel clears page by page. Here what the connection
receives (`copy_source.py`) goes into a few buffers that are used again and again, and
`native/copy.c` finds the rows in them: 0.57 µs of processor time a row of 900 bytes instead of
0.9, most of it the kernel's.
"""

from __future__ import annotations

import ctypes
from collections.abc import Generator, Sequence
from itertools import cycle
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import psycopg

from exporter.copy_source import END, Source
from exporter.native import Unreadable, load_native

BUFFERS: Final = 3
"""Rows stay until so many more batches have been asked for."""

_HEAD: Final = 5  # of a message: what it is, and its size
_SMALLEST_FIELD: Final = 4
_SMALLEST_ROW: Final = _HEAD + 2

Offsets = npt.NDArray[np.int32]
Bytes = npt.NDArray[np.uint8]


class CopiedRows(NamedTuple):
    """Some rows: the fields of one width side by side, and where the other stands in `data`."""

    data: Bytes
    begins: Offsets
    ends: Offsets
    fixed: list[Bytes]
    """For each field of one width, in order, an array of rows and bytes."""


def read_rows(
    source: Source, widths: Sequence[int | None], *, buffer_bytes: int
) -> Generator[CopiedRows, None, None]:
    """The rows of a `COPY (…) TO STDOUT (FORMAT binary)`, about `buffer_bytes` of them at a time.

    `widths` are those of the fields in bytes; one at most is None, of any width. No field is null.
    Raises Unreadable for other fields, and what PostgreSQL answers with as a psycopg.Error.
    """
    buffers = cycle([_Buffer(widths) for _ in range(BUFFERS)])
    buffer = next(buffers)
    rest, wanted, read = b"", 0, 0
    while True:
        view = buffer.hold(rest, max(buffer_bytes, wanted, len(rest) + _HEAD))
        size = _receive(source, buffer, view, len(rest))
        is_lost = size == len(rest)
        is_over = buffer.read(size)
        rest, wanted = bytes(view[buffer.reach : size]), buffer.wanted
        read += buffer.count
        if buffer.count:
            yield buffer.rows()
            buffer = next(buffers)  # not before: what was given last may still be in use
        if is_over:
            if rest[:1] == b"E":
                raise _error_of(rest[_HEAD:wanted])
            if rest[_HEAD:wanted] != b"COPY %d\0" % read:
                raise psycopg.DataError(f"{read} rows were read: {rest[_HEAD:wanted]!r}")
            return
        if is_lost:
            raise psycopg.OperationalError("the connection is lost")


def _receive(source: Source, buffer: _Buffer, view: memoryview, size: int) -> int:
    """Receive until a buffer is full, or nothing more will come; how much it holds then."""
    while size < len(view):
        received = source.receive(view[size:])
        size += received
        if not received:
            break
        # A row may look like it: only where a message begins is it the end.
        looks_over = bytes(view[max(size - len(END) - 1, 0) : size - 1]) == END
        if looks_over and buffer.read(size):
            break
    return size


class _Buffer:
    """Bytes that were received, and where the rows in them go."""

    def __init__(self, widths: Sequence[int | None]) -> None:
        self._field_bytes = [width or 0 for width in widths]
        self._widths = np.array([-1 if width is None else width for width in widths], np.int32)
        self._reach = (ctypes.c_int64 * 2)()
        self.count = 0
        self._allocate(0)

    def _allocate(self, size: int) -> None:
        self._data = np.empty(size, np.uint8)
        smallest = _SMALLEST_ROW + sum(_SMALLEST_FIELD + width for width in self._field_bytes)
        self._most = size // smallest + 1
        self._begins, self._ends = (np.empty(self._most, np.int32) for _ in range(2))
        self._fixed = [np.empty((self._most, width), np.uint8) for width in self._field_bytes]
        outs = [out.ctypes.data for out in self._fixed]
        self._outs = (ctypes.c_void_p * len(outs))(*outs)
        self._target = _Target(
            self._widths.ctypes.data,
            len(outs),
            ctypes.addressof(self._outs),
            self._begins.ctypes.data,
            self._ends.ctypes.data,
        )

    @property
    def reach(self) -> int:
        """Where the rows end."""
        return self._reach[0]

    @property
    def wanted(self) -> int:
        """Bytes of the message there; 0 while that is not known."""
        return self._reach[1]

    def hold(self, rest: bytes, size: int) -> memoryview:
        """Room for so many bytes, which begin with those."""
        if len(self._data) != size:
            self._allocate(size)
        self.count = 0
        self._reach[0] = self._reach[1] = 0
        view = self._data.data
        view[: len(rest)] = rest
        return view

    def read(self, size: int) -> bool:
        """Find the rows in what is there, going on behind those found; whether it is the end."""
        count = load_native().read_messages(
            self._data.ctypes.data,
            size,
            self._most,
            ctypes.addressof(self._target),
            self.count,
            self._reach,
        )
        if count < 0:
            raise Unreadable("rows of other fields than were asked for")
        self.count = count
        return 0 < self.wanted <= size - self.reach

    def rows(self) -> CopiedRows:
        fixed = [out[: self.count] for out in self._fixed if out.shape[1]]
        return CopiedRows(self._data, self._begins[: self.count], self._ends[: self.count], fixed)


class _Target(ctypes.Structure):
    """`struct target` in `native/copy.c`."""

    _fields_ = (
        ("widths", ctypes.c_void_p),
        ("fields", ctypes.c_int64),
        ("out", ctypes.c_void_p),
        ("begins", ctypes.c_void_p),
        ("ends", ctypes.c_void_p),
    )


def _error_of(content: bytes) -> psycopg.Error:
    """What an ErrorResponse says: fields of a letter and a text, each ended by a zero."""
    texts = content.decode(errors="replace").split("\0")
    fields = {text[0]: text[1:] for text in texts if text}
    try:
        kind = psycopg.errors.lookup(fields.get("C", ""))
    except KeyError:
        kind = psycopg.DatabaseError
    return kind(fields.get("M", "PostgreSQL sent an error without a message"))
