"""Count the rows of an object while it is read through, by what the object itself says.

Parquet files tell them in their footer, for each row group and each of its columns. The pages are
not decoded: a file whose footer lies is one that no reader can read. Text is unpacked and read.
"""

from __future__ import annotations

import tempfile
import zlib
from collections import deque
from pathlib import Path
from typing import Final, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from exporter.event_file import count_rows

MAX_FOOTER_BYTES: Final = 16 << 20
"""A segment's largest file here has a footer of some 200 kB."""
_TEXT: Final = frozenset({"csv.gz", "json.gz", "json.zst", "ndjson.gz"})


class RowCounter(Protocol):
    """Takes an object's pieces in order."""

    def take(self, chunk: bytes) -> None:
        """Look at the next piece."""

    def rows(self) -> int:
        """How many rows there were; raises ValueError where that cannot be told."""

    def close(self) -> None:
        """Forget what was kept."""


def row_counter(file_format: str) -> RowCounter | None:
    """What counts the rows of a format; None for one that this version cannot read."""
    if file_format == "parquet":
        return ParquetRows()
    return TextRows(file_format) if file_format in _TEXT else None


class ParquetRows:
    """Keeps the end of a file, where its footer is."""

    def __init__(self) -> None:
        self._kept: deque[bytes] = deque()
        self._kept_bytes = 0

    def take(self, chunk: bytes) -> None:
        """Forget what is too far from the end."""
        self._kept.append(chunk)
        self._kept_bytes += len(chunk)
        while self._kept_bytes - len(self._kept[0]) > MAX_FOOTER_BYTES:
            self._kept_bytes -= len(self._kept.popleft())

    def rows(self) -> int:
        """By the footer, which has to agree with itself."""
        tail = b"".join(self._kept)
        try:
            footer = pq.read_metadata(pa.BufferReader(tail))
        except (pa.ArrowException, OSError) as exc:
            raise ValueError(f"no Parquet footer can be read: {exc}") from exc
        groups = [footer.row_group(n) for n in range(footer.num_row_groups)]
        rows: int = sum(group.num_rows for group in groups)
        if rows != footer.num_rows or any(
            group.column(n).num_values != group.num_rows
            for group in groups
            for n in range(group.num_columns)
            if footer.schema.column(n).max_repetition_level == 0  # lists have values of their own
        ):
            raise ValueError("its Parquet footer contradicts itself")
        return rows

    def close(self) -> None:
        """Nothing is kept but memory."""


class TextRows:
    """Keeps a file, to be read by the reader of its format when it is whole."""

    def __init__(self, file_format: str) -> None:
        self._format = file_format
        # CSV's and JSON's readers tell by a file's name how it is packed.
        self._file = tempfile.NamedTemporaryFile(  # noqa: SIM115 - closed by `close`
            prefix="sluice-", suffix=f".{file_format}"
        )

    def take(self, chunk: bytes) -> None:
        """Write it down."""
        self._file.write(chunk)

    def rows(self) -> int:
        """By reading it through."""
        self._file.flush()
        try:
            return count_rows(Path(self._file.name), self._format)
        except (pa.ArrowException, OSError, EOFError, KeyError, zlib.error) as exc:
            raise ValueError(f"no rows of {self._format} can be read: {exc}") from exc

    def close(self) -> None:
        """Remove the file."""
        self._file.close()
