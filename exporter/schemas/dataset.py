"""A dataset as a reader meets it: its columns, those in the file and those in the key."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import pyarrow as pa

from exporter.described import FIRST_RELEASE

Kind = Literal["string", "int32", "int64", "double", "boolean", "timestamp"]
"""What a column holds, in our words; each engine has its own. Timestamps are UTC, microseconds."""

_KINDS: Final[dict[pa.DataType, Kind]] = {
    pa.string(): "string",
    pa.int32(): "int32",
    pa.int64(): "int64",
    pa.float64(): "double",
    pa.bool_(): "boolean",
    pa.timestamp("us", tz="UTC"): "timestamp",
}


@dataclass(frozen=True, slots=True)
class DatasetColumn:
    """One column."""

    name: str
    kind: Kind
    meaning: str
    nullable: bool = True
    since: str = FIRST_RELEASE
    """The release that had it first: files of an older one have no such column."""


@dataclass(frozen=True, slots=True)
class Dataset:
    """One folder below the prefix."""

    name: str
    meaning: str
    columns: tuple[DatasetColumn, ...]
    """In the files."""
    key_columns: tuple[DatasetColumn, ...]
    """In the key, hive-style, in their order."""
    format: str = "parquet"

    @property
    def path(self) -> str:
        """An object's key below the prefix, with the columns' names in braces."""
        folders = "/".join(f"{c.name}={{{c.name}}}" for c in self.key_columns)
        return f"{self.name}/{folders}"


def columns_of(
    schema: pa.Schema, *, never_null: frozenset[str] = frozenset()
) -> tuple[DatasetColumn, ...]:
    """A file's columns by its Arrow schema; raises ValueError for a type that has no kind here."""
    return tuple(_column_of(field, never_null) for field in schema)


def _column_of(field: pa.Field, never_null: frozenset[str]) -> DatasetColumn:
    kind = _KINDS.get(field.type)
    if kind is None:
        raise ValueError(f"{field.name} is {field.type}, which no engine is told of")
    said = {name.decode(): value.decode() for name, value in (field.metadata or {}).items()}
    return DatasetColumn(
        field.name,
        kind,
        said["meaning"],
        nullable=not ("never_null" in said or field.name in never_null),
        since=said.get("since", FIRST_RELEASE),
    )
