"""A dataset that a segment has one file of: one query, one schema, Parquet."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from core.keys import day_key
from database.deliveries import PendingDelivery
from exporter.encode import EncodedFile, finish_file
from exporter.parquet_file import open_parquet
from exporter.stream import stream_query


@dataclass(frozen=True, slots=True)
class SegmentDataset:
    """Its rows come from tables of the buffer, and are cut by segment."""

    name: str
    meaning: str
    schema: pa.Schema
    select: str
    """SQL for the schema's columns, `{segment_id}` in the place of the segment; always in the
    same order, so that the same rows give the same bytes."""


def encode_dataset(
    dataset: SegmentDataset, delivery: PendingDelivery, *, database_url: str, folder: Path
) -> Iterator[EncodedFile]:
    """Write the segment's rows, a few MiB at a time; without any there is no file."""
    path = folder / f"{dataset.name}.parquet"
    query = dataset.select.format(segment_id=int(delivery.segment_id))
    rows = 0
    with ExitStack() as stack:
        writer: pq.ParquetWriter | None = None
        for batch in stack.enter_context(stream_query(database_url, query, dataset.schema)):
            if not batch.num_rows:
                continue
            if writer is None:
                writer = stack.enter_context(open_parquet(path, dataset.schema))
            writer.write_batch(batch)
            rows += batch.num_rows
    if rows:
        yield finish_file(
            day_key(dataset.name, delivery.opened_at, delivery.segment_id), path, rows
        )
