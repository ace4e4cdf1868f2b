"""One file of events while it is written, whatever its format."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol, assert_never

import pyarrow as pa

from exporter.csv_file import CsvFile, count_csv_rows
from exporter.json_file import JsonFile, count_json_rows
from exporter.layout import EventFormat, Layout
from exporter.line_file import count_lines
from exporter.parquet_file import ParquetFile, count_parquet_rows


class EventFile(Protocol):
    """Takes rows until it is closed; the same rows, cut the same way, give the same bytes."""

    def write(self, rows: pa.Table) -> None:
        """Write the rows behind those before."""

    def close(self) -> None:
        """End the file."""


def open_event_file(form: EventFormat, path: Path, first: pa.Table, layout: Layout) -> EventFile:
    """A file for rows such as those that come `first`, which are not written yet."""
    match form:
        case "parquet":
            return ParquetFile(path, first)
        case "csv":
            return CsvFile(path, first.schema)
        case "json":
            return JsonFile(path, layout.json_compression)
        case _:
            assert_never(form)


def count_rows(path: Path, file_format: str) -> int:
    """The rows of a closed file, counted by a reader of its format."""
    if file_format == "csv.gz":
        return count_csv_rows(path)
    if file_format == "ndjson.gz":
        return count_lines(path)
    if file_format.startswith("json."):
        return count_json_rows(path)
    return count_parquet_rows(path)
