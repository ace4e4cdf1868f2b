"""JSON, one object in a line: UTF-8, gzip or zstd.

A field that is null is left out. `properties` is JSON in a string, as in the other formats: it has
one type for every reader, whatever the events of a file hold, and the rows are the same rows.

Lines are made column by column: 50 columns of Python objects would take far longer than all else.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from exporter.layout import JsonCompression
from exporter.text_values import iso_time, open_gzip

_SLICE_ROWS: Final = 8_192  # text is several times as large as its columns
_READ_BYTES: Final = 1 << 20
_ESCAPED: Final = r'["\\\x00-\x1f]'
_CONTROL: Final = r"[\x00-\x1f]"


class JsonFile:
    """A file of events, compressed while it is written."""

    def __init__(self, path: Path, compression: JsonCompression) -> None:
        self._stream: Any = (
            open_gzip(path) if compression == "gzip" else pa.output_stream(path, compression="zstd")
        )

    def write(self, rows: pa.Table) -> None:
        """Write the rows behind those before."""
        for start in range(0, rows.num_rows, _SLICE_ROWS):
            for batch in rows.slice(start, _SLICE_ROWS).combine_chunks().to_batches():
                self._stream.write(json_lines(batch))

    def close(self) -> None:
        """End the file."""
        self._stream.close()


def json_lines(batch: pa.RecordBatch) -> memoryview:
    """Each row as an object with its columns' names, nulls left out, and a line feed."""
    members = [
        _members(field.name, column)
        for field, column in zip(batch.schema, batch.columns, strict=True)
        if column.null_count < len(column)
    ]
    inner = pc.binary_join_element_wise(*members, pa.scalar(","), null_handling="skip")
    lines = pc.binary_join_element_wise("{", inner, "}\n", "")
    offsets = lines.cast(pa.large_string())  # whose offsets are 64 bits: no sum overflows
    return _all_bytes(offsets)


def count_json_rows(path: Path) -> int:
    """Lines: none is broken, since a line feed within a value is escaped."""
    compression = "zstd" if path.suffix == ".zst" else "gzip"
    lines = 0
    with pa.input_stream(path, compression=compression) as stream:
        while chunk := stream.read(_READ_BYTES):
            lines += chunk.count(b"\n")
    return lines


def _members(name: str, column: pa.Array) -> pa.Array:
    """`"name":value` for each value; null where it is."""
    kind = column.type
    if pa.types.is_string(kind):
        start, values, end = f'"{name}":"', _escaped(column), '"'
    elif pa.types.is_timestamp(kind):
        start, values, end = f'"{name}":"', iso_time(column), '"'
    else:  # numbers and booleans are written in JSON as Arrow writes them
        start, values, end = f'"{name}":', column.cast(pa.string()), ""
    return pc.binary_join_element_wise(start, values, end, "")


def _escaped(column: pa.Array) -> pa.Array:
    if not pc.any(pc.match_substring_regex(column, _ESCAPED)).as_py():
        return column
    escaped = pc.replace_substring(pc.replace_substring(column, "\\", "\\\\"), '"', '\\"')
    control = pc.match_substring_regex(column, _CONTROL).fill_null(False)
    if not pc.any(control).as_py():
        return escaped
    encoded = [msgspec.json.encode(v).decode()[1:-1] for v in column.filter(control).to_pylist()]
    return pc.replace_with_mask(escaped, control, pa.array(encoded, pa.string()))


def _all_bytes(lines: pa.LargeStringArray) -> memoryview:
    """The values laid end to end, as Arrow holds them."""
    _, offsets, values = lines.buffers()
    ends = memoryview(offsets).cast("q")
    first, last = ends[lines.offset], ends[lines.offset + len(lines)]
    return memoryview(values)[first:last]
