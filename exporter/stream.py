"""Stream a sealed segment out of PostgreSQL as Arrow.

A sealed segment is immutable, so one sequential scan always gives the same rows in the same
order: a row's number in that order is its name.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, assert_never

import adbc_driver_postgresql.dbapi as adbc
import pyarrow as pa

from core.event import COLUMNS, SCHEMA_VERSION, Column, ColumnType
from database.tables import segment_table
from exporter.arrow_schema import IDENTITIES_SCHEMA, ROW_SCHEMA

_BATCH_BYTES: Final = 16 << 20
_TABLE_COLUMNS: Final = frozenset(
    {"received_at", "event_type", "site_id", "visitor_id", "session_id", "user_id", "occurred_at"}
)
# Physical order, always from the first page on, by one process.
_SCAN_SETTINGS: Final = (
    "SET synchronize_seqscans = off",
    "SET max_parallel_workers_per_gather = 0",
    "SET timezone = 'UTC'",
    "SET jit = off",
)


def _expression(column: Column) -> str:
    if column.name in _TABLE_COLUMNS:
        return column.name
    if column.name == "schema_version":
        return f"{SCHEMA_VERSION}::int"
    wire = column.payload_name
    if wire is None:  # derived from the others, later
        return "NULL::bool" if column.type is ColumnType.BOOLEAN else "NULL::text"
    match column.type:
        case ColumnType.STRING:
            return f"payload->>'{wire}'"
        case ColumnType.INT32:
            missing = "coalesce({}, 1)" if column.name == "event_version" else "{}"
            return missing.format(f"(payload->>'{wire}')::int")
        case ColumnType.BOOLEAN:  # absent when it is false
            return f"coalesce((payload->>'{wire}')::bool, false)"
        case ColumnType.TIMESTAMP:
            return f"(payload->>'{wire}')::timestamptz"
        case ColumnType.JSON:
            return f"(payload->'{wire}')::text"
        case _:
            assert_never(column.type)


_SELECT_ROWS: Final = "SELECT " + ", ".join(f"{_expression(c)} AS {c.name}" for c in COLUMNS)
_SELECT_LINKS: Final = (
    "SELECT site_id, visitor_id, user_id, event_type, linked_at, segment_id FROM identity_links"
)
_SELECT_IDS: Final = "SELECT uuid_send(event_id) AS id, site_id, event_type, received_at"


@contextmanager
def stream_rows(database_url: str, segment_id: int) -> Iterator[Iterator[pa.RecordBatch]]:
    """Batches of `ROW_SCHEMA`, about 16 MiB each, in physical order."""
    with _stream(database_url, f"{_SELECT_ROWS} FROM {segment_table(segment_id)}") as batches:
        yield (batch.cast(ROW_SCHEMA) for batch in batches)


@contextmanager
def stream_ids(database_url: str, segment_id: int) -> Iterator[Iterator[pa.RecordBatch]]:
    """Batches of (id: 16 bytes, site_id, event_type, received_at), in physical order."""
    with _stream(database_url, f"{_SELECT_IDS} FROM {segment_table(segment_id)}") as batches:
        yield batches


@contextmanager
def stream_links(database_url: str, segment_id: int) -> Iterator[Iterator[pa.RecordBatch]]:
    """Batches of `IDENTITIES_SCHEMA`, in no order: they are a set."""
    with _stream(database_url, f"{_SELECT_LINKS} WHERE segment_id = {segment_id:d}") as batches:
        yield (batch.cast(IDENTITIES_SCHEMA) for batch in batches)


@contextmanager
def stream_query(
    database_url: str, query: str, schema: pa.Schema
) -> Iterator[Iterator[pa.RecordBatch]]:
    """Batches of what a query finds, in a schema's types, about 16 MiB each."""
    with _stream(database_url, query) as batches:
        yield (batch.cast(schema) for batch in batches)


@contextmanager
def _stream(database_url: str, query: str) -> Iterator[Iterator[pa.RecordBatch]]:
    with adbc.connect(database_url) as connection, connection.cursor() as cursor:
        for statement in _SCAN_SETTINGS:
            cursor.execute(statement)
        cursor.adbc_statement.set_options(
            **{"adbc.postgresql.batch_size_hint_bytes": str(_BATCH_BYTES)}
        )
        cursor.execute(query)
        yield iter(cursor.fetch_record_batch())
