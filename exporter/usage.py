"""Usage records: what the writers counted, as a Parquet file for the metering bucket."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa

from database.deliveries import HourCount
from exporter.arrow_schema import USAGE_SCHEMA
from exporter.parquet_file import open_parquet


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
