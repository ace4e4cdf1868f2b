"""BigQuery: an external table with the key's columns as partitions.

A bucket on Amazon's S3 is read by BigQuery Omni, through a connection; one in Google's storage
needs none.
"""

from __future__ import annotations

from typing import Final

from exporter.schemas.dataset import Dataset, DatasetColumn, Kind
from exporter.schemas.location import Location
from exporter.schemas.sql_text import comment, listed

TYPES: Final[dict[Kind, str]] = {
    "string": "STRING",
    "int32": "INT64",
    "int64": "INT64",
    "double": "FLOAT64",
    "boolean": "BOOL",
    "timestamp": "TIMESTAMP",
}


def write_table(dataset: Dataset, location: Location) -> str:
    """One dataset."""
    url = f"{location.url('gs' if location.is_google else 's3')}/{dataset.name}"
    connection = ""
    if not location.is_google:
        connection = f"WITH CONNECTION `aws-{location.region or 'your-region'}.sluice`\n"
    return f"""\
CREATE OR REPLACE EXTERNAL TABLE `sluice.{dataset.name}` (
{listed(map(_column, dataset.columns))}
)
WITH PARTITION COLUMNS (
{listed(f"`{c.name}` {TYPES[c.kind]}" for c in dataset.key_columns)}
)
{connection}OPTIONS (
  description = '{comment(dataset.meaning)}',
  format = 'PARQUET',
  hive_partition_uri_prefix = '{url}',
  uris = ['{url}/*']
);
"""


def _column(column: DatasetColumn) -> str:
    description = comment(column.meaning)
    return f"`{column.name}` {TYPES[column.kind]} OPTIONS (description = '{description}')"
