"""The delivered row as an Arrow schema, derived from the contract."""

from __future__ import annotations

from typing import Final, assert_never

import pyarrow as pa

from core.event import COLUMNS, FILE_COLUMNS, SCHEMA_VERSION, Column, ColumnType
from exporter.described import TIME, column


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


def _field(described: Column) -> pa.Field:
    return column(described.name, _arrow_type(described.type), described.meaning)


FILE_SCHEMA: Final = pa.schema(
    [_field(c) for c in FILE_COLUMNS],
    metadata={"sluice.schema_version": str(SCHEMA_VERSION)},
)
"""What stands in a file; `site_id` stands in its key."""

ROW_SCHEMA: Final = pa.schema([_field(c) for c in COLUMNS])
"""A whole row, the partition column included."""

IDENTITIES_SCHEMA: Final = pa.schema(
    [
        column("site_id", pa.string(), "The site that the event came from."),
        column("visitor_id", pa.string(), "Who they were."),
        column("user_id", pa.string(), "Who they are."),
        column("event_type", pa.string(), "The event that said so, as it was sent."),
        column("linked_at", TIME, "When it was received, by the server's clock."),
        column("segment_id", pa.int64(), "The segment that its event is in."),
    ]
)
"""Identity links: which user a visitor said to be, in which event, and when it was received."""

USAGE_SCHEMA: Final = pa.schema(
    [
        column("client_id", pa.string(), "CLIENT_ID of the stack."),
        column("site_id", pa.string(), "The site; (unknown) for refusals that name none."),
        column("hour", TIME, "The hour in which they were received."),
        column("event_type", pa.string(), "What kind of event."),
        column("outcome", pa.string(), "accepted, duplicate, or the reason of a refusal."),
        column("events", pa.int64(), "How many."),
        column("bytes", pa.int64(), "Bytes of their payloads in the buffer."),
    ]
)
"""Usage records: outcome is accepted, duplicate, or the reason of a refusal."""
