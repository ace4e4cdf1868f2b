"""ClickHouse (and chDB): a view over the files; what stands in the key is read out of the path."""

from __future__ import annotations

from typing import Final

from exporter.schemas.dataset import Dataset, DatasetColumn, Kind
from exporter.schemas.location import Location
from exporter.schemas.sql_text import listed_with_meanings

TYPES: Final[dict[Kind, str]] = {
    "string": "String",
    "int32": "Int32",
    "int64": "Int64",
    "double": "Float64",
    "boolean": "Bool",
    "timestamp": "DateTime64(6, 'UTC')",
}


def type_of(column: DatasetColumn) -> str:
    """With whether it may be null, which in ClickHouse is part of a type."""
    kind = TYPES[column.kind]
    return f"Nullable({kind})" if column.nullable else kind


def write_view(dataset: Dataset, location: Location) -> str:
    """One dataset."""
    structure = ", ".join(f"`{c.name}` {type_of(c)}" for c in dataset.columns)
    columns = listed_with_meanings(
        (
            *((f"`{c.name}`", c.meaning) for c in dataset.columns),
            *((f"{_from_path(c)} AS `{c.name}`", c.meaning) for c in dataset.key_columns),
        )
    )
    return f"""\
CREATE OR REPLACE VIEW `{dataset.name}` AS
SELECT
{columns}
FROM {_files(dataset, location)},
  'Parquet',
  {_quoted(structure)}
)
SETTINGS use_hive_partitioning = 0;
"""


def _files(dataset: Dataset, location: Location) -> str:
    if location.is_folder:
        return f"file(\n  {_quoted(f'{location.url()}/{dataset.name}/**/*.parquet')}"
    return f"s3(\n  {_quoted(f'{location.https()}/{dataset.name}/**.parquet')}"


def _from_path(column: DatasetColumn) -> str:
    part = f"extract(_path, '/{column.name}=([^/]*)/')"
    if column.kind == "string":
        return f"decodeURLComponent({part})"
    return f"to{TYPES[column.kind]}({part})"


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
