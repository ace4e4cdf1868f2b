"""Glue's Data Catalog: what `aws glue create-table --table-input` takes, for each dataset."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from exporter.schemas.dataset import Dataset, DatasetColumn
from exporter.schemas.location import Location
from exporter.schemas.projection import TYPES, folder_of, project
from exporter.schemas.sql_text import comment


def write_tables(datasets: Iterable[Dataset], location: Location) -> str:
    """A JSON list of tables."""
    tables = msgspec.json.encode([_table(dataset, location) for dataset in datasets])
    return msgspec.json.format(tables, indent=2).decode() + "\n"


def _table(dataset: Dataset, location: Location) -> dict[str, Any]:
    formats = "org.apache.hadoop.hive.ql.io.parquet"
    return {
        "Name": dataset.name,
        "Description": comment(dataset.meaning),
        "TableType": "EXTERNAL_TABLE",
        "Parameters": {"EXTERNAL": "TRUE"} | project(dataset, location),
        "PartitionKeys": [_column(c) for c in dataset.key_columns],
        "StorageDescriptor": {
            "Columns": [_column(c) for c in dataset.columns],
            "Location": folder_of(dataset, location),
            "InputFormat": f"{formats}.MapredParquetInputFormat",
            "OutputFormat": f"{formats}.MapredParquetOutputFormat",
            "SerdeInfo": {"SerializationLibrary": f"{formats}.serde.ParquetHiveSerDe"},
        },
    }


def _column(column: DatasetColumn) -> dict[str, str]:
    return {
        "Name": column.name,
        "Type": TYPES[column.kind],
        "Comment": comment(column.meaning),
    }
