"""Rows as they stream out of the buffer, made by hand."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from exporter.arrow_schema import ROW_SCHEMA

HOUR = datetime(2026, 11, 21, 10, tzinfo=UTC)


def a_row(**different: Any) -> dict[str, Any]:
    """One delivered row with a visible difference; the rest is null."""
    return {
        "received_at": HOUR,
        "event_id": str(uuid.uuid4()),
        "event_type": "page_view",
        "occurred_at": HOUR,
        "site_id": "shop.example",
        "event_version": 1,
        "schema_version": 1,
    } | different


def row_batch(*rows: dict[str, Any]) -> pa.RecordBatch:
    """A batch of `ROW_SCHEMA`."""
    return pa.RecordBatch.from_pylist(list(rows), schema=ROW_SCHEMA)


def split_at(batch: pa.RecordBatch, cuts: Sequence[int]) -> list[pa.RecordBatch]:
    """The same rows in several batches; some may be empty."""
    edges = [0, *sorted(min(cut, batch.num_rows) for cut in cuts), batch.num_rows]
    return [batch.slice(a, b - a) for a, b in itertools.pairwise(edges)]
