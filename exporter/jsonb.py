"""Read columns out of stored JSONB, a batch of rows at a time.

PostgreSQL's text of a JSONB costs it more than the rest of a row together, and somebody has to
parse it again. As it is stored, a document is a table: how many pairs, a 4-byte entry for each key
and each value, then the bytes of all keys, then those of all values; strings are plain UTF-8
(`src/include/utils/jsonb.h`; on disk since 9.4, and `pg_upgrade` depends on it). So numpy finds
the values of a whole batch at once, and strings are slices of what came over the wire.

Whatever is stored in another way than the collector stores it raises `Unreadable`; the caller
then asks PostgreSQL to pick the columns. Nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from core.event import ColumnType

_COUNT: Final = 0x0FFF_FFFF  # of a container's header
_IS_OBJECT: Final = 0x2000_0000
_CONTAINER_FLAGS: Final = 0xF000_0000
_LENGTH: Final = 0x0FFF_FFFF  # of an entry
_TYPE: Final = 0x7000_0000
_HAS_OFFSET: Final = 0x8000_0000
_OFFSET_STRIDE: Final = 32  # every 32nd entry holds where it ends instead of its length
_STRING: Final = 0x0000_0000
_NUMBER: Final = 0x1000_0000
_FALSE: Final = 0x2000_0000
_TRUE: Final = 0x3000_0000
_NULL: Final = 0x4000_0000

_MAX_KEYS: Final = 1_000
_INLINE_BYTES: Final = 12  # Arrow's views hold strings of that length themselves
_INLINE_MASKS: Final = np.frombuffer(
    b"".join(b"\xff" * n + bytes(_INLINE_BYTES - n) for n in range(_INLINE_BYTES + 1)), "<u4"
).reshape(-1, 3)

Ints = npt.NDArray[np.int64]


class Unreadable(Exception):
    """A document that is not laid out, or not typed, as expected."""


def read_documents(documents: pa.Array, fields: Mapping[str, ColumnType]) -> dict[str, pa.Array]:
    """Columns of some top-level fields; null where a document has none, or null.

    `documents` are JSONB objects as bytes. JSON fields cannot be read. Raises Unreadable.
    """
    values = _find_values(documents, list(fields))
    return {name: values.column(name, kind) for name, kind in fields.items()}


@dataclass(slots=True)
class _Found:
    """Where one field's value stands in each row."""

    types: npt.NDArray[np.uint32]
    starts: Ints
    lengths: Ints


class _Values:
    """The values of each field that any row has."""

    def __init__(self, data: npt.NDArray[np.uint8], names: list[str], rows: int) -> None:
        self.data, self.names, self.rows = data, names, rows
        self._found: dict[str, _Found] = {}

    def note(self, name: str, rows: Ints, types: Any, starts: Ints, lengths: Ints) -> None:
        """A field's values in some of the rows."""
        if len(rows) == self.rows:
            self._found[name] = _Found(types, starts, lengths)
            return
        found = self._found.get(name)
        if found is None:
            found = self._found[name] = _Found(
                np.full(self.rows, _NULL, dtype=np.uint32),
                np.zeros(self.rows, dtype=np.int64),
                np.zeros(self.rows, dtype=np.int64),
            )
        found.types[rows], found.starts[rows], found.lengths[rows] = types, starts, lengths

    def column(self, name: str, kind: ColumnType) -> pa.Array:
        """One field as an array; null where it is absent or null."""
        found = self._found.get(name)
        if found is None:
            return pa.nulls(self.rows, _ARROW[kind])
        missing = found.types == _NULL
        if kind is ColumnType.BOOLEAN:
            _require(missing | (found.types == _TRUE) | (found.types == _FALSE))
            return pa.array(found.types == _TRUE, mask=missing)
        if kind is ColumnType.INT32:
            _require(missing | (found.types == _NUMBER))
            numbers = np.zeros(self.rows, dtype=np.int32)
            present = np.flatnonzero(~missing)
            numbers[present] = self._integers(found.starts[present], found.lengths[present])
            return pa.array(numbers, mask=missing)
        _require(missing | (found.types == _STRING))
        strings = self._strings(found.starts, found.lengths, missing)
        return _instants(strings) if kind is ColumnType.TIMESTAMP else strings

    def _strings(self, starts: Ints, lengths: Ints, missing: npt.NDArray[np.bool_]) -> pa.Array:
        """A view of each string, which Arrow then gathers.

        https://arrow.apache.org/docs/format/Columnar.html#variable-size-binary-view-layout
        """
        valid = None
        if missing.any():
            lengths = np.where(missing, 0, lengths)
            valid = pa.py_buffer(np.packbits(~missing, bitorder="little"))
        views = np.empty((len(starts), 4), dtype="<u4")
        views[:, 0] = lengths
        is_short = lengths <= _INLINE_BYTES
        if not is_short.any():
            views[:, 1] = _at_any_byte(self.data, "<u4")[starts]
            views[:, 2] = 0
            views[:, 3] = starts
        else:
            # Nothing is read beyond the end: what stands there is put right below.
            last = len(self.data) - _INLINE_BYTES
            begin = _at_any_byte(self.data, f"V{_INLINE_BYTES}")[np.clip(starts, 0, last)]
            begin = begin.view("<u4").reshape(-1, 3)
            views[:, 1:] = begin & _INLINE_MASKS[np.minimum(lengths, _INLINE_BYTES)]
            long = np.flatnonzero(~is_short)
            views[long, 2] = 0
            views[long, 3] = starts[long]
            for row in np.flatnonzero((starts > last) & (lengths > 0)):
                text = self.data[starts[row] : starts[row] + lengths[row]].tobytes()
                views[row, 1:] = np.frombuffer(text.ljust(_INLINE_BYTES, b"\0"), "<u4")
        view = pa.Array.from_buffers(
            pa.string_view(), len(starts), [valid, pa.py_buffer(views), pa.py_buffer(self.data)]
        )
        return view.cast(pa.string())

    def _integers(self, starts: Ints, lengths: Ints) -> npt.NDArray[np.int32]:
        """PostgreSQL's numeric, in its short form: a header, then digits to the base of 10,000.

        `src/backend/utils/adt/numeric.c`, `struct NumericShort`.
        """
        number = np.zeros(len(starts), dtype=np.int64)
        # Nearly all have one digit and no weight: eight bytes in all.
        small = np.flatnonzero(lengths == 8)
        words = _at_any_byte(self.data, "<u8")[starts[small]]
        is_small = words & 0x0000_DFFF_FFFF_FFFF == 0x0000_8000_0000_0020
        small, words = small[is_small], words[is_small]
        digit = (words >> 48).astype(np.int64)
        number[small] = np.where(words & 0x2000_0000_0000, -digit, digit)
        if len(small) < len(number):
            rest = np.delete(np.arange(len(number)), small)
            number[rest] = self._longer_integers(starts[rest], lengths[rest])
        return number.astype(np.int32)

    def _longer_integers(self, starts: Ints, lengths: Ints) -> Ints:
        _require((lengths >= 6) & (lengths <= 12) & (lengths % 2 == 0))
        halves = _at_any_byte(self.data, "<u2")
        size = _at_any_byte(self.data, "<u4")[starts]
        _require(size == lengths << 2)
        header = halves[starts + 4].astype(np.int64)
        weight, digits = header & 0x3F, (lengths - 6) >> 1
        # Short, finite, whole, of a weight that is not below zero.
        _require((header & 0xDFC0 == 0x8000) & (weight <= 2) & (digits <= weight + 1))
        number = np.zeros(len(starts), dtype=np.int64)
        for place in range(3):
            at = np.minimum(starts + 6 + 2 * place, len(self.data) - 2)
            digit = np.where(place < digits, halves[at], 0).astype(np.int64)
            number += digit * 10_000 ** np.maximum(weight - place, 0)
        number = np.where(header & 0x2000, -number, number)
        _require(np.abs(number) < 2**31)
        return number


_ARROW: Final = {
    ColumnType.STRING: pa.string(),
    ColumnType.INT32: pa.int32(),
    ColumnType.BOOLEAN: pa.bool_(),
    ColumnType.TIMESTAMP: pa.timestamp("us", tz="UTC"),
}


def _find_values(documents: pa.Array, names: list[str]) -> _Values:
    documents = documents.cast(pa.binary())
    if documents.null_count:
        raise Unreadable("a row without a document")
    cuts = np.frombuffer(documents.buffers()[1], "<i4")[documents.offset :][: len(documents) + 1]
    content = documents.buffers()[2]
    data = np.frombuffer(content if content is not None else b"", np.uint8)
    values = _Values(data, names, len(documents))
    starts, ends = cuts[:-1].astype(np.int64), cuts[1:].astype(np.int64)
    _require(ends - starts >= 4)
    remaining = np.arange(len(documents))
    while len(remaining):  # once for each set of keys: a stream has few
        first = remaining[0]
        shape = _read_shape(data[starts[first] : ends[first]].tobytes())
        if shape.size == 4:  # without keys, nothing else tells it apart
            is_same = _at_any_byte(data, "<u4")[starts[remaining]] == _IS_OBJECT
        else:
            is_same = _have_shape(data, starts[remaining], ends[remaining], shape)
        rows = remaining[is_same]
        _note_values(values, shape, rows, starts[rows], ends[rows])
        remaining = remaining[~is_same]
    return values


@dataclass(frozen=True, slots=True)
class _Shape:
    """What objects with the same keys share, byte for byte."""

    header: bytes
    """Flags, count, and the keys' entries. The values' entries follow, as many bytes but four."""
    keys: bytes
    place: dict[bytes, int]

    @property
    def body(self) -> int:
        """Where keys begin, and values behind them, counted from the object's start."""
        return 2 * len(self.header) - 4

    @property
    def size(self) -> int:
        return self.body + len(self.keys)


def _read_shape(document: bytes) -> _Shape:
    (head,) = np.frombuffer(document[:4], "<u4").tolist()
    count = head & _COUNT
    _require(np.bool_(head & _CONTAINER_FLAGS == _IS_OBJECT))
    _require(np.bool_(count <= _MAX_KEYS and 4 + 8 * count <= len(document)))
    entries = np.frombuffer(document[4 : 4 + 4 * count], "<u4")
    ends = np.zeros(count + 1, dtype=np.int64)
    for number, entry in enumerate(entries.tolist()):
        _require(np.bool_(entry & _TYPE == _STRING))
        has_offset = number % _OFFSET_STRIDE == 0
        _require(np.bool_(bool(entry & _HAS_OFFSET) == has_offset))
        ends[number + 1] = (0 if has_offset else ends[number]) + (entry & _LENGTH)
    keys = document[4 + 8 * count :][: ends[-1]]
    cuts = ends.tolist()
    place = {keys[a:b]: number for number, (a, b) in enumerate(pairwise(cuts))}
    return _Shape(document[: 4 + 4 * count], keys, place)


def _have_shape(
    data: npt.NDArray[np.uint8], starts: Ints, ends: Ints, shape: _Shape
) -> npt.NDArray[np.bool_]:
    """Whether each object has the same keys. Of one width, numpy compares them byte for byte."""
    same = ends - starts >= shape.size
    for expected, at in ((shape.header, 0), (shape.keys, shape.body)):
        if not expected:  # the one key is the empty one
            continue
        kind = f"S{len(expected)}"
        places = np.flatnonzero(same)
        there = _at_any_byte(data, kind)[starts[places] + at]
        same[places] = there == np.frombuffer(expected, kind)[0]
    return same


def _note_values(values: _Values, shape: _Shape, rows: Ints, starts: Ints, ends: Ints) -> None:
    """Follow the values' entries of objects of one shape."""
    count = len(shape.place)
    if not count:
        return
    data, bodies = values.data, starts + shape.body
    entries = _at_any_byte(data, f"V{4 * count}")[starts + len(shape.header)].view("<u4")
    names = {shape.place.get(name.encode()): name for name in values.names}
    reach = np.full(len(rows), len(shape.keys), dtype=np.int64)
    for place, entry in enumerate(np.ascontiguousarray(entries.reshape(-1, count).T)):
        has_offset = (count + place) % _OFFSET_STRIDE == 0
        _require((entry >= _HAS_OFFSET) == has_offset)
        begun, reach = reach, (0 if has_offset else reach) + (entry & _LENGTH).astype(np.int64)
        name = names.get(place)
        if name is not None:
            types = entry & _TYPE
            if (types == _NUMBER).any():
                # Numbers stand on multiples of four; what precedes them is no part of them.
                begun = np.where(types == _NUMBER, (begun + 3) & ~3, begun)
            _require(begun <= reach)
            values.note(name, rows, types, bodies + begun, reach - begun)
    _require(bodies + reach <= ends)


def _at_any_byte(data: npt.NDArray[np.uint8], kind: str) -> npt.NDArray[Any]:
    """Values that begin at every byte, aligned or not: element n begins at byte n."""
    size = np.dtype(kind).itemsize
    return np.ndarray(max(0, len(data) - size + 1), kind, data, strides=(1,))


def _instants(strings: pa.Array) -> pa.Array:
    try:
        return strings.cast(pa.timestamp("us", tz="UTC"))
    except pa.ArrowInvalid as exc:
        raise Unreadable("a time in other words than the collector's") from exc


def _require(holds: npt.NDArray[np.bool_] | np.bool_) -> None:
    if not np.all(holds):
        raise Unreadable("a value, or a layout, that the collector does not store")
