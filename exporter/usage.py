"""Usage records: what the writers counted, as a Parquet file for the metering bucket."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from database.deliveries import HourCount
from exporter.arrow_schema import USAGE_SCHEMA
from exporter.parquet_file import open_parquet

_COUNTED = [name for name in USAGE_SCHEMA.names if name != "client_id"]


def write_usage(path: Path, *, client_id: str, counts: Iterable[HourCount]) -> int:
    """Write one row for each site, hour, event type and outcome; returns how many."""
    rows = [
        {
            "client_id": client_id,
            "site_id": c.site_id,
            "hour": c.hour,
            "event_type": c.event_type,
            "outcome": c.outcome,
            "events": c.events,
            "bytes": c.bytes,
        }
        for c in counts
    ]
    with open_parquet(path, USAGE_SCHEMA) as writer:
        writer.write_table(pa.Table.from_pylist(rows, schema=USAGE_SCHEMA))
    return len(rows)


def read_usage(body: bytes) -> tuple[list[HourCount], set[str]]:
    """The records of a file, and whose they are; raises ValueError when they are none."""
    try:
        with pq.ParquetFile(pa.BufferReader(body)) as file:
            # Arrow's threads abort the process now and then when it ends just after them
            # (apache/arrow 34314), and its exit code is what a script goes by.
            table = file.read(use_threads=False)
        table = table.select(USAGE_SCHEMA.names).cast(USAGE_SCHEMA)
    except (pa.ArrowException, OSError, KeyError, ValueError) as exc:
        raise ValueError(f"no usage records can be read: {exc}") from exc
    columns = [table.column(name).to_pylist() for name in _COUNTED]
    clients = table.column("client_id").to_pylist()
    if any(value is None for column in (clients, *columns) for value in column):
        raise ValueError("no usage records can be read: a value is missing")
    return [HourCount(*row) for row in zip(*columns, strict=True)], set(clients)
