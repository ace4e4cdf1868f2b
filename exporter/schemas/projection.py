"""Partition projection: Athena works the folders out by itself, no crawler and no repair.

A site is `injected`: each query names one, `WHERE site_id = '…'`, as it stands in the key. Hours
are counted out, so a query that names no time makes Athena look into every hour of ten years.
"""

from __future__ import annotations

from typing import Final

from exporter.schemas.dataset import Dataset, DatasetColumn, Kind
from exporter.schemas.location import Location

TYPES: Final[dict[Kind, str]] = {
    "string": "string",
    "int32": "int",
    "int64": "bigint",
    "double": "double",
    "boolean": "boolean",
    "timestamp": "timestamp",
}
_RANGES: Final = {"year": (2026, 2035), "month": (1, 12), "day": (1, 31), "hour": (0, 23)}


def folder_of(dataset: Dataset, location: Location) -> str:
    """A table's location."""
    return f"{location.url()}/{dataset.name}/"


def project(dataset: Dataset, location: Location) -> dict[str, str]:
    """The table's properties."""
    template = "".join(f"/{c.name}=${{{c.name}}}" for c in dataset.key_columns)
    properties = {"classification": dataset.format, "projection.enabled": "true"}
    for column in dataset.key_columns:
        properties |= _project_column(column)
    properties["storage.location.template"] = f"{location.url()}/{dataset.name}{template}"
    return properties


def _project_column(column: DatasetColumn) -> dict[str, str]:
    name = f"projection.{column.name}"
    if column.name not in _RANGES:
        return {f"{name}.type": "injected"}
    first, last = _RANGES[column.name]
    properties = {f"{name}.type": "integer", f"{name}.range": f"{first},{last}"}
    if column.name != "year":
        properties[f"{name}.digits"] = "2"
    return properties
