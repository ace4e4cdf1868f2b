"""A dataset's columns as a JSON object, for machines."""

from __future__ import annotations

from typing import Any

import msgspec

from core.event import SCHEMA_VERSION
from exporter.schemas.dataset import Dataset, DatasetColumn


def write_schema(dataset: Dataset) -> bytes:
    """`sluice-schema/1`; fields are only ever added."""
    described = {
        "format": "sluice-schema/1",
        "dataset": dataset.name,
        "schema_version": SCHEMA_VERSION,
        "meaning": dataset.meaning,
        "files": dataset.format,
        "path": f"{dataset.path}/",
        "columns": [
            *(_column(c, stands_in="file") for c in dataset.columns),
            *(_column(c, stands_in="key") for c in dataset.key_columns),
        ],
    }
    return msgspec.json.format(msgspec.json.encode(described), indent=2) + b"\n"


def _column(column: DatasetColumn, *, stands_in: str) -> dict[str, Any]:
    return {
        "name": column.name,
        "type": column.kind,
        "nullable": column.nullable,
        "meaning": column.meaning,
        "since": column.since,
        "in": stands_in,
    }
