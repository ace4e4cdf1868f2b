"""DuckDB: a view over the files, which are read where they are.

A row of nothing gives each column its type, also one that no file has yet. A view needs a file to
be made: of a dataset that has none there is none to make.
"""

from __future__ import annotations

from typing import Final

from exporter.schemas.dataset import Dataset, Kind
from exporter.schemas.location import Location
from exporter.schemas.sql_text import listed_with_meanings, literal

TYPES: Final[dict[Kind, str]] = {
    "string": "VARCHAR",
    "int32": "INTEGER",
    "int64": "BIGINT",
    "double": "DOUBLE",
    "boolean": "BOOLEAN",
    "timestamp": "TIMESTAMPTZ",
}


def write_head(location: Location) -> str:
    """What goes before the views."""
    if location.is_folder:
        return ""
    options = ["TYPE s3", "PROVIDER credential_chain"]
    if location.region:
        options.append(f"REGION {literal(location.region)}")
    if location.endpoint_url:
        host = location.endpoint_url.rstrip("/").split("://")[-1]
        options += [f"ENDPOINT {literal(host)}", "URL_STYLE 'path'"]
        if location.endpoint_url.startswith("http://"):
            options.append("USE_SSL false")
    return (
        "INSTALL httpfs;\nLOAD httpfs;\nINSTALL aws;\nLOAD aws;\n"
        f"CREATE OR REPLACE SECRET sluice ({', '.join(options)});\n"
    )


def write_view(dataset: Dataset, location: Location) -> str:
    """One dataset."""
    files = literal(f"{location.url()}/{dataset.name}/**/*.parquet")
    in_key = ", ".join(f"{c.name}: {TYPES[c.kind]}" for c in dataset.key_columns)
    columns = listed_with_meanings(
        (
            (f'NULL::{TYPES[c.kind]} AS "{c.name}"', c.meaning)
            for c in (*dataset.columns, *dataset.key_columns)
        ),
        indent="    ",
    )
    return f"""\
CREATE OR REPLACE VIEW "{dataset.name}" AS
SELECT * FROM (
  SELECT
{columns}
) WHERE false
UNION ALL BY NAME
SELECT * FROM read_parquet(
  {files},
  hive_partitioning = true, hive_types = {{{in_key}}}, union_by_name = true
);
"""
