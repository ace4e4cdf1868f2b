"""CSV as RFC 4180 has it: a header, CRLF, quotes doubled; UTF-8, gzip.

Text stands in quotes, numbers and booleans (`true`, `false`) do not. Null is nothing between the
commas, empty text is `""`. Times are ISO 8601 in UTC, with microseconds.
"""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.csv

from exporter.text_values import iso_times, open_gzip

_BLOCK_BYTES: Final = 16 << 20  # longer than any event


class CsvFile:
    """A file of events, compressed while it is written."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._stream: gzip.GzipFile = open_gzip(path)
        self._writer = pyarrow.csv.CSVWriter(
            self._stream,
            iso_times(schema.empty_table()).schema,
            write_options=pyarrow.csv.WriteOptions(eol="\r\n", quoting_style="needed"),
        )

    def write(self, rows: pa.Table) -> None:
        """Write the rows behind those before."""
        self._writer.write_table(iso_times(rows))

    def close(self) -> None:
        """End the file."""
        self._writer.close()
        self._stream.close()


def count_csv_rows(path: Path) -> int:
    """Records, by a reader that knows of quotes; the header is none of them."""
    reader = pyarrow.csv.open_csv(
        path,
        read_options=pyarrow.csv.ReadOptions(block_size=_BLOCK_BYTES),
        parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True),
        convert_options=pyarrow.csv.ConvertOptions(
            include_columns=["event_id"], column_types={"event_id": pa.string()}
        ),
    )
    return sum(batch.num_rows for batch in reader)
