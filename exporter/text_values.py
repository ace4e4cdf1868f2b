"""What the text formats share: times as text, and gzip without a date."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

_GZIP_LEVEL: Final = 6


def iso_times(rows: pa.Table) -> pa.Table:
    """The rows with each time as text: `2026-11-21T10:15:31.204000Z`."""
    for position, field in enumerate(rows.schema):
        if pa.types.is_timestamp(field.type):
            text = iso_time(rows.column(position))
            rows = rows.set_column(position, pa.field(field.name, pa.string()), text)
    return rows


def iso_time(times: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """ISO 8601 in UTC, with microseconds; Arrow itself puts a space in the middle."""
    return pc.replace_substring(times.cast(pa.string()), " ", "T", max_replacements=1)


def open_gzip(path: Path) -> gzip.GzipFile:
    """A new file without name and time in its header: the same rows give the same bytes."""
    return _OwnGzipFile(path)


class _OwnGzipFile(gzip.GzipFile):
    """Closes the file below it, which a GzipFile that was given one leaves open."""

    def __init__(self, path: Path) -> None:
        self._below = path.open("wb")
        super().__init__("", "wb", _GZIP_LEVEL, self._below, mtime=0)

    def close(self) -> None:
        try:
            super().close()
        finally:
            self._below.close()
