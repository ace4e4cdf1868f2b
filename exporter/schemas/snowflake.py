"""Snowflake: an external table on a stage.

What stands in the key is read out of the file's name; a site as it is encoded there, since no
function that decodes may stand in a partition's expression.
"""

from __future__ import annotations

from typing import Final

from exporter.schemas.dataset import Dataset, DatasetColumn, Kind
from exporter.schemas.location import Location
from exporter.schemas.sql_text import listed_with_meanings, literal

TYPES: Final[dict[Kind, str]] = {
    "string": "VARCHAR",
    "int32": "INT",
    "int64": "BIGINT",
    "double": "DOUBLE",
    "boolean": "BOOLEAN",
    "timestamp": "TIMESTAMP_LTZ",
}


def write_head(location: Location) -> str:
    """What goes before the tables."""
    scheme = "gcs" if location.is_google else "s3"
    return f"""\
-- First a storage integration that may read the bucket; put its name here.
CREATE STAGE IF NOT EXISTS sluice_bucket
  URL = {literal(location.url(scheme) + "/")}
  STORAGE_INTEGRATION = your_integration;
"""


def write_table(dataset: Dataset, _: Location) -> str:
    """One dataset."""
    columns = listed_with_meanings(
        (
            *((_from_file(c), c.meaning) for c in dataset.columns),
            *((_from_name(c), c.meaning) for c in dataset.key_columns),
        )
    )
    partitions = ", ".join(c.name for c in dataset.key_columns)
    return f"""\
CREATE OR REPLACE EXTERNAL TABLE {dataset.name} (
{columns}
)
PARTITION BY ({partitions})
LOCATION = @sluice_bucket/{dataset.name}/
AUTO_REFRESH = FALSE
PATTERN = '.*[.]parquet'
FILE_FORMAT = (TYPE = PARQUET USE_LOGICAL_TYPE = TRUE);

-- New files are seen after this, or by themselves with AUTO_REFRESH and the bucket's notifications.
ALTER EXTERNAL TABLE {dataset.name} REFRESH;
"""


def _from_file(column: DatasetColumn) -> str:
    kind = TYPES[column.kind]
    return f'{column.name} {kind} AS (VALUE:"{column.name}"::{kind})'


def _from_name(column: DatasetColumn) -> str:
    kind = TYPES[column.kind]
    part = f"SPLIT_PART(SPLIT_PART(METADATA$FILENAME, '/{column.name}=', 2), '/', 1)"
    return f"{column.name} {kind} AS ({part}::{kind})"
