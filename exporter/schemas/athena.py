"""Athena: an external table with partition projection."""

from __future__ import annotations

from exporter.schemas.dataset import Dataset, DatasetColumn
from exporter.schemas.location import Location
from exporter.schemas.projection import TYPES, folder_of, project
from exporter.schemas.sql_text import comment, listed, literal


def write_head(_: Location) -> str:
    """What goes before the tables."""
    return "CREATE DATABASE IF NOT EXISTS `sluice`;\n"


def write_table(dataset: Dataset, location: Location) -> str:
    """One dataset."""
    properties = listed(
        f"{literal(name)} = {literal(value)}" for name, value in project(dataset, location).items()
    )
    return f"""\
CREATE EXTERNAL TABLE IF NOT EXISTS `sluice`.`{dataset.name}` (
{listed(map(_column, dataset.columns))}
)
COMMENT '{comment(dataset.meaning)}'
PARTITIONED BY (
{listed(map(_column, dataset.key_columns))}
)
STORED AS PARQUET
LOCATION {literal(folder_of(dataset, location))}
TBLPROPERTIES (
{properties}
);
"""


def _column(column: DatasetColumn) -> str:
    return f"`{column.name}` {TYPES[column.kind]} COMMENT '{comment(column.meaning)}'"
