"""The delivered row as an Arrow schema, derived from the contract."""

from __future__ import annotations

from typing import Final, assert_never

import pyarrow as pa

from core.event import COLUMNS, FILE_COLUMNS, SCHEMA_VERSION, Column, ColumnType


def _arrow_type(kind: ColumnType) -> pa.DataType:
    match kind:
        case ColumnType.STRING | ColumnType.JSON:
            return pa.string()
        case ColumnType.INT32:
            return pa.int32()
        case ColumnType.BOOLEAN:
            return pa.bool_()
        case ColumnType.TIMESTAMP:
            return pa.timestamp("us", tz="UTC")
        case _:
            assert_never(kind)


def _field(column: Column) -> pa.Field:
    return pa.field(column.name, _arrow_type(column.type), metadata={"meaning": column.meaning})


FILE_SCHEMA: Final = pa.schema(
    [_field(column) for column in FILE_COLUMNS],
    metadata={"sluice.schema_version": str(SCHEMA_VERSION)},
)
"""What stands in a file; `site_id` stands in its key."""

ROW_SCHEMA: Final = pa.schema([_field(column) for column in COLUMNS])
"""A whole row, the partition column included."""

IDENTITIES_SCHEMA: Final = pa.schema(
    [
        pa.field("site_id", pa.string()),
        pa.field("visitor_id", pa.string()),
        pa.field("user_id", pa.string()),
        pa.field("event_type", pa.string()),
        pa.field("linked_at", pa.timestamp("us", tz="UTC")),
        pa.field("segment_id", pa.int64()),
    ]
)
"""Identity links: which user a visitor said to be, in which event, and when it was received."""

USAGE_SCHEMA: Final = pa.schema(
    [
        pa.field("client_id", pa.string()),
        pa.field("site_id", pa.string()),
        pa.field("hour", pa.timestamp("us", tz="UTC")),
        pa.field("event_type", pa.string()),
        pa.field("outcome", pa.string()),
        pa.field("events", pa.int64()),
        pa.field("bytes", pa.int64()),
    ]
)
"""Usage records: outcome is accepted, duplicate, or the reason of a refusal."""
