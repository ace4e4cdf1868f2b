"""Read columns out of stored JSONB, a batch of rows at a time.

PostgreSQL's text of a JSONB costs it more than the rest of a row together, and somebody has to
parse it again. As it is stored, a document is a table: how many pairs, a 4-byte entry for each key
and each value, then the bytes of all keys, then those of all values; strings are plain UTF-8
(`src/include/utils/jsonb.h`; on disk since 9.4, and `pg_upgrade` depends on it).
`native/jsonb.c` walks it.

Whatever is stored in another way than the collector stores it raises `Unreadable`; the caller
then asks PostgreSQL to pick the columns, as it does where nothing was compiled. Nothing is guessed.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from itertools import accumulate
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from core.event import ColumnType
from exporter.native import Unreadable, load_native

_FULL: Final = -2
_KINDS: Final = {
    ColumnType.STRING: 0,
    ColumnType.TIMESTAMP: 0,
    ColumnType.INT32: 1,
    ColumnType.BOOLEAN: 2,
    ColumnType.JSON: 3,
}
# Of a batch's column: 5e-324 is 7 bytes when it is sent, 14 as it is stored, 326 as text.
_MAX_TEXT_BYTES: Final = 128 << 20

_ARROW: Final = {
    ColumnType.STRING: pa.string(),
    ColumnType.INT32: pa.int32(),
    ColumnType.BOOLEAN: pa.bool_(),
    ColumnType.TIMESTAMP: pa.timestamp("us", tz="UTC"),
    ColumnType.JSON: pa.string(),
}


class Documents(NamedTuple):
    """JSONB objects as bytes: where each begins in `data`, and where it ends."""

    data: npt.NDArray[np.uint8]
    begins: npt.NDArray[np.int32]
    ends: npt.NDArray[np.int32]


class DocumentReader:
    """Reads columns of some top-level fields; one thread at a time."""

    def __init__(self, fields: Mapping[str, ColumnType]) -> None:
        self._fields = fields
        names = [name.encode() for name in fields]
        self._names = b"".join(names)
        self._name_cuts = np.array([0, *accumulate(map(len, names))], np.int32)
        self._found = np.empty(0, np.uint64)  # kept: the kernel would clear it for each batch

    def read(
        self, documents: Documents, chosen: npt.NDArray[np.int64] | slice = slice(None)
    ) -> dict[str, pa.Array]:
        """The columns of the documents chosen, or of all; null where one has no such field, or
        null.

        JSON fields come as PostgreSQL's text of them. Raises Unreadable.
        """
        begins, ends = documents.begins[chosen], documents.ends[chosen]
        rows, data = len(begins), documents.data.ctypes.data
        sizes = self._find_values(data, begins, ends)
        columns = [
            _Column(kind, field, rows, size)
            for field, (kind, size) in enumerate(zip(self._fields.values(), sizes, strict=True))
            if size >= 0
        ]
        waiting = columns
        while waiting:
            structs = (_Struct * len(waiting))(*(column.begin() for column in waiting))
            load_native().read_columns(data, self._found.ctypes.data, rows, structs, len(waiting))
            for column, read in zip(waiting, structs, strict=True):
                column.end(read)
            waiting = [column for column in waiting if column.array is None]
        arrays = {column.field: column.array for column in columns}
        return {
            name: arrays[field] if field in arrays else pa.nulls(rows, _ARROW[kind])
            for field, (name, kind) in enumerate(self._fields.items())
        }

    def _find_values(
        self, data: int, begins: npt.NDArray[np.int32], ends: npt.NDArray[np.int32]
    ) -> list[int]:
        """Learn where each field's values stand; the bytes of them, -1 of one that no row has."""
        fields, rows = len(self._fields), len(begins)
        if len(self._found) < fields * rows:
            self._found = np.empty(fields * rows, np.uint64)
        sizes = np.full(fields, -1, np.int64)
        if rows and load_native().find_values(
            data,
            begins.ctypes.data,
            ends.ctypes.data,
            rows,
            self._names,
            self._name_cuts.ctypes.data,
            fields,
            self._found.ctypes.data,
            sizes.ctypes.data,
        ):
            raise Unreadable("a document that is laid out in another way")
        found: list[int] = sizes.tolist()
        return found


class _Struct(ctypes.Structure):
    """`struct column` in `native/jsonb.c`."""

    _fields_ = (
        ("kind", ctypes.c_int64),
        ("field", ctypes.c_int64),
        ("offsets", ctypes.c_void_p),
        ("valid", ctypes.c_void_p),
        ("out", ctypes.c_void_p),
        ("size", ctypes.c_int64),
        ("end", ctypes.c_int64),
        ("nulls", ctypes.c_int64),
    )


class _Column:
    """One column, and Arrow's buffers while they are filled."""

    def __init__(self, kind: ColumnType, field: int, rows: int, size: int) -> None:
        self.array: pa.Array | None = None
        self.field = field
        self._kind = kind
        self._rows = rows
        self._size = 1_024 + 2 * size if kind is ColumnType.JSON else size
        self._buffers: list[pa.Buffer] = []

    def begin(self) -> _Struct:
        rows, valid = self._rows, _bits(self._rows)
        match self._kind:
            case ColumnType.INT32:
                self._buffers = [valid, pa.allocate_buffer(rows * 4)]
            case ColumnType.BOOLEAN:
                self._buffers = [valid, _bits(rows)]
            case _:
                self._buffers = [
                    valid,
                    pa.allocate_buffer((rows + 1) * 4),
                    pa.allocate_buffer(self._size, resizable=True),
                ]
        return _Struct(
            kind=_KINDS[self._kind],
            field=self.field,
            offsets=self._buffers[1].address if len(self._buffers) == 3 else None,
            valid=valid.address,
            out=self._buffers[-1].address,
            size=self._size,
        )

    def end(self, read: _Struct) -> None:
        """Take over what was read; of JSON that did not fit, `array` is None still."""
        if read.nulls == _FULL and self._kind is ColumnType.JSON:
            self._size *= 4
            if self._size > _MAX_TEXT_BYTES:
                raise Unreadable("numbers of so many digits that their text fits no batch")
            return
        if read.nulls < 0:
            raise Unreadable("a value of another type than the collector stores")
        is_text = len(self._buffers) == 3
        array = pa.Array.from_buffers(
            pa.string() if is_text else _ARROW[self._kind],
            self._rows,
            [self._buffers[0] if read.nulls else None, *self._buffers[1:]],
            null_count=read.nulls,
        )
        self.array = _instants(array) if self._kind is ColumnType.TIMESTAMP else array


def _bits(rows: int) -> pa.Buffer:
    size = (rows + 7) // 8
    bits = pa.allocate_buffer(size)
    ctypes.memset(bits.address, 0, size)
    return bits


def _instants(strings: pa.Array) -> pa.Array:
    try:
        return strings.cast(pa.timestamp("us", tz="UTC"))
    except pa.ArrowInvalid as exc:
        raise Unreadable("a time in other words than the collector's") from exc
