"""Rows of a query as PostgreSQL sends them, read where they were received.

A `COPY` is read from libpq, and so by ADBC, one row at a time: each is allocated, freed and copied
into a column that grows, in memory that the kernel clears page by page. Here what the connection
receives goes into a few buffers that are used again and again, and `native/copy.c` finds the rows
in them: 0.57 µs of processor time a row of 900 bytes instead of 0.9, most of it the kernel's.

Once the query is sent libpq takes no part any more: its socket is read as it is. An encrypted
connection is libpq's alone; then each row's message is made again of what it gives.
"""

from __future__ import annotations

import ctypes
import os
import socket
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import cycle
from typing import Any, Final, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import psycopg

from exporter.native import Unreadable, load_native

BUFFERS: Final = 3
"""What was given is overwritten when as many more have been asked for, less one."""

_HEAD: Final = 5  # of a message: what it is, and its size
_SMALLEST_FIELD: Final = 4
_SMALLEST_ROW: Final = _HEAD + 2
_READY: Final = b"Z\0\0\0\5"  # and a byte more: in a transaction or not
_END: Final = b"c\0\0\0\4" + _READY + b"I"
_IS_ENCRYPTED: Final = """
SELECT EXISTS (SELECT FROM pg_stat_gssapi WHERE pid = pg_backend_pid() AND encrypted)
"""

Offsets = npt.NDArray[np.int32]
Bytes = npt.NDArray[np.uint8]


class CopiedRows(NamedTuple):
    """Some rows: the fields of one width side by side, and where the other stands in `data`."""

    data: Bytes
    begins: Offsets
    ends: Offsets
    fixed: list[Bytes]
    """For each field of one width, in order, an array of rows and bytes."""


class _Source(Protocol):
    def recv_into(self, buffer: memoryview, /) -> int: ...


@contextmanager
def copy_rows(
    connection: psycopg.Connection,
    query: str,
    widths: Sequence[int | None],
    *,
    buffer_bytes: int,
) -> Iterator[Iterator[CopiedRows]]:
    """Send a query, and give its rows as they come, about `buffer_bytes` of them at a time.

    `widths` are those of the fields in bytes; one at most is None, of any width. No field is null.
    Raises Unreadable for other fields, and what PostgreSQL answers with as a psycopg.Error. The
    connection is of no use afterwards, but to be closed.
    """
    copy = f"COPY ({query}) TO STDOUT (FORMAT binary)"
    with closing(_open_source(connection, copy)) as source:
        yield _rows(source, widths, buffer_bytes)


def _rows(
    source: _Source, widths: Sequence[int | None], buffer_bytes: int
) -> Generator[CopiedRows, None, None]:
    rest, wanted = b"", 0
    for buffer in cycle([_Buffer(widths) for _ in range(BUFFERS)]):
        held = len(rest)
        view = buffer.hold(rest, max(buffer_bytes, wanted, held + _HEAD))
        size = _receive(source, view, held)
        rows, reach, wanted = buffer.read(size)
        rest = bytes(view[reach:size])
        if rows:
            yield buffer.rows(rows)
        if 0 < wanted <= len(rest):  # a message that ends it is there: nothing may come any more
            if rest[:1] == b"E":
                raise _error_of(rest[_HEAD:wanted])
            return
        if size == held:
            raise psycopg.OperationalError("the connection is lost")


def _receive(source: _Source, view: memoryview, size: int) -> int:
    """Receive until a buffer is full, or nothing more will come; how much it holds then.

    A row that ends as the last message does makes it stop too early, which costs nothing.
    """
    while size < len(view):
        received = source.recv_into(view[size:])
        size += received
        if not received or bytes(view[max(size - len(_READY) - 1, 0) : size - 1]) == _READY:
            break
    return size


class _Buffer:
    """Bytes that were received, and where the rows in them go."""

    def __init__(self, widths: Sequence[int | None]) -> None:
        self._field_bytes = [width or 0 for width in widths]
        self._widths = np.array([-1 if width is None else width for width in widths], np.int32)
        self._reach = (ctypes.c_int64 * 2)()
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

    def hold(self, rest: bytes, size: int) -> memoryview:
        """Room for so many bytes, which begin with those."""
        if len(self._data) != size:
            self._allocate(size)
        view = self._data.data
        view[: len(rest)] = rest
        return view

    def read(self, size: int) -> tuple[int, int, int]:
        """How many rows there are, where they end, and the size of the message there."""
        rows = load_native().read_messages(
            self._data.ctypes.data, size, self._most, ctypes.addressof(self._target), self._reach
        )
        if rows < 0:
            raise Unreadable("rows of other fields than were asked for")
        return rows, self._reach[0], self._reach[1]

    def rows(self, count: int) -> CopiedRows:
        fixed = [out[:count] for out in self._fixed if out.shape[1]]
        return CopiedRows(self._data, self._begins[:count], self._ends[:count], fixed)


class _Target(ctypes.Structure):
    """`struct target` in `native/copy.c`."""

    _fields_ = (
        ("widths", ctypes.c_void_p),
        ("fields", ctypes.c_int64),
        ("out", ctypes.c_void_p),
        ("begins", ctypes.c_void_p),
        ("ends", ctypes.c_void_p),
    )


def _open_source(connection: psycopg.Connection, copy: str) -> Any:
    pgconn = connection.pgconn
    (is_encrypted,) = connection.execute(_IS_ENCRYPTED).fetchone() or (True,)
    if is_encrypted or pgconn.ssl_in_use:
        return _Messages(connection, copy)
    pgconn.send_query(copy.encode())
    while pgconn.flush():
        pass  # a query of a few hundred bytes: the socket has room for it
    source = socket.socket(fileno=os.dup(pgconn.socket))
    source.setblocking(True)
    return source


class _Messages:
    """The messages of a COPY, made again of what libpq gives."""

    def __init__(self, connection: psycopg.Connection, copy: str) -> None:
        self._messages = self._make(connection, copy)
        self._waiting = memoryview(b"")

    def recv_into(self, buffer: memoryview, /) -> int:
        if not self._waiting:
            self._waiting = memoryview(next(self._messages, b""))
        taken = min(len(self._waiting), len(buffer))
        buffer[:taken] = self._waiting[:taken]
        self._waiting = self._waiting[taken:]
        return taken

    def close(self) -> None:
        self._messages.close()

    @staticmethod
    def _make(connection: psycopg.Connection, copy: str) -> Generator[bytes, None, None]:
        with connection.cursor().copy(copy) as rows:
            for row in rows:
                yield b"d" + (4 + len(row)).to_bytes(4, "big") + bytes(row)
        yield _END


def _error_of(content: bytes) -> psycopg.Error:
    """What an ErrorResponse says: fields of a letter and a text, each ended by a zero."""
    texts = content.decode(errors="replace").split("\0")
    fields = {text[0]: text[1:] for text in texts if text}
    try:
        kind = psycopg.errors.lookup(fields.get("C", ""))
    except KeyError:
        kind = psycopg.DatabaseError
    return kind(fields.get("M", "PostgreSQL sent an error without a message"))
