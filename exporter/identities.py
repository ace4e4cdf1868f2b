"""Identity links of a segment, as a Parquet file of their own."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from exporter.arrow_schema import IDENTITIES_SCHEMA
from exporter.parquet_file import open_parquet


def write_identities(path: Path, batches: Iterable[pa.RecordBatch]) -> int:
    """Write every link; returns how many. Without any there is no file."""
    rows = 0
    with ExitStack() as stack:
        writer: pq.ParquetWriter | None = None
        for batch in batches:
            if not batch.num_rows:
                continue
            if writer is None:
                writer = stack.enter_context(open_parquet(path, IDENTITIES_SCHEMA))
            writer.write_batch(batch)
            rows += batch.num_rows
    return rows
