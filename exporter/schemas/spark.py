"""Spark: a table over the files, whose folders are found by a repair."""

from __future__ import annotations

from typing import Final

from exporter.schemas.dataset import Dataset, DatasetColumn, Kind
from exporter.schemas.location import Location
from exporter.schemas.sql_text import comment, listed, literal

TYPES: Final[dict[Kind, str]] = {
    "string": "STRING",
    "int32": "INT",
    "int64": "BIGINT",
    "double": "DOUBLE",
    "boolean": "BOOLEAN",
    "timestamp": "TIMESTAMP",
}


def write_head(_: Location) -> str:
    """What goes before the tables."""
    return "CREATE DATABASE IF NOT EXISTS sluice;\n"


def write_table(dataset: Dataset, location: Location) -> str:
    """One dataset."""
    partitions = ", ".join(f"`{c.name}`" for c in dataset.key_columns)
    return f"""\
CREATE TABLE IF NOT EXISTS sluice.`{dataset.name}` (
{listed(map(_column, (*dataset.columns, *dataset.key_columns)))}
)
USING PARQUET
PARTITIONED BY ({partitions})
LOCATION {literal(f"{location.url('s3a')}/{dataset.name}/")}
COMMENT '{comment(dataset.meaning)}';

-- Again whenever new folders are to be seen.
MSCK REPAIR TABLE sluice.`{dataset.name}`;
"""


def _column(column: DatasetColumn) -> str:
    return f"`{column.name}` {TYPES[column.kind]} COMMENT '{comment(column.meaning)}'"
