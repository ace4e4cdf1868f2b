"""Parquet: zstd, dictionaries, statistics, page index, bloom filters on ids that are looked up."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

# These hardly repeat within a row group: a dictionary of them would only be tried and given up.
_NO_DICTIONARY: Final = frozenset(
    {"event_id", "received_at", "occurred_at", "device_occurred_at", "properties"}
)
BLOOM_COLUMNS: Final = ("visitor_id", "session_id")
"""What one visitor or one visit is looked up by; random, so that minima and maxima skip nothing."""
_FALSE_POSITIVES: Final = 0.01
_ROWS_WORTH_A_FILTER: Final = 1_000  # fewer are read as fast as a filter is


class ParquetFile:
    """A file of events: each write is a row group."""

    def __init__(self, path: Path, first: pa.Table) -> None:
        names = first.schema.names
        self._writer = open_parquet(
            path,
            first.schema,
            dictionary=[name for name in names if name not in _NO_DICTIONARY],
            bloom_filters=_bloom_filters(first),
        )

    def write(self, rows: pa.Table) -> None:
        """Write the rows behind those before."""
        self._writer.write_table(rows, row_group_size=rows.num_rows)

    def close(self) -> None:
        """End the file."""
        self._writer.close()


def open_parquet(
    path: Path,
    schema: pa.Schema,
    *,
    dictionary: list[str] | bool = True,
    bloom_filters: dict[str, dict[str, Any]] | None = None,
) -> pq.ParquetWriter:
    """A writer with the settings that every file of ours has."""
    return pq.ParquetWriter(
        path,
        schema,
        compression="zstd",
        compression_level=1,  # faster than 3, and smaller, on events whose columns are dictionaries
        use_dictionary=dictionary,
        write_statistics=True,
        write_page_index=True,
        bloom_filter_options=bloom_filters or None,
        version="2.6",
    )


def count_parquet_rows(path: Path) -> int:
    """What the footer counts."""
    rows: int = pq.read_metadata(path).num_rows
    return rows


def _bloom_filters(first: pa.Table) -> dict[str, dict[str, Any]]:
    """Sized by the distinct ids of the first row group; those after it are no larger."""
    if first.num_rows < _ROWS_WORTH_A_FILTER:
        return {}
    distinct = {
        name: pc.count_distinct(first.column(name)).as_py()
        for name in BLOOM_COLUMNS
        if name in first.schema.names
    }
    return {name: {"ndv": n, "fpp": _FALSE_POSITIVES} for name, n in distinct.items() if n}
