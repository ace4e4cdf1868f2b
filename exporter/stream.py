"""Stream a sealed segment out of PostgreSQL as Arrow.

A sealed segment is immutable, so one sequential scan always gives the same rows in the same
order: a row's number in that order is its name.

Payloads come as they are stored, and are read here (`jsonb.py`): 1.5 µs a row of PostgreSQL's
time against 5.2 for picking each column there, 2.7 for a bare `COPY`. Rows that are stored in
another way, and all of them where the cast is not there to ask for (migration 0006), are picked
by PostgreSQL; a test holds the two against each other.
"""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing, contextmanager
from typing import Any, Final, assert_never

import adbc_driver_postgresql
import pyarrow as pa
import pyarrow.compute as pc
from adbc_driver_manager import AdbcConnection, AdbcStatement

from core.event import COLUMNS, SCHEMA_VERSION, Column, ColumnType
from database.tables import segment_table
from exporter.arrow_schema import IDENTITIES_SCHEMA, ROW_SCHEMA
from exporter.dedup import NO_MARKS, Marks, drop_duplicates, rows_to_keep
from exporter.jsonb import Unreadable, is_compiled, read_documents
from exporter.read_ahead import read_ahead

log = logging.getLogger("sluice.exporter")

_BATCH_BYTES: Final = 10 << 20
_TABLE_COLUMNS: Final = frozenset(
    {"received_at", "event_type", "site_id", "visitor_id", "session_id", "user_id", "occurred_at"}
)
_WHEN_ABSENT: Final[dict[str, int | bool]] = {"event_version": 1, "is_bot": False}
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
            missing = "coalesce({}, 1)" if column.name in _WHEN_ABSENT else "{}"
            return missing.format(f"(payload->>'{wire}')::int")
        case ColumnType.BOOLEAN:
            return f"coalesce((payload->>'{wire}')::bool, false)"
        case ColumnType.TIMESTAMP:
            return f"(payload->>'{wire}')::timestamptz"
        case ColumnType.JSON:
            return f"(payload->'{wire}')::text"
        case _:
            assert_never(column.type)


_PICKED_ROWS: Final = "SELECT " + ", ".join(f"{_expression(c)} AS {c.name}" for c in COLUMNS)
# The other columns of the table repeat what stands in the payload, for whoever queries the buffer.
_BESIDE_DOCUMENTS: Final = ("received_at", "occurred_at")
_DOCUMENT_FIELDS: Final = {
    c.name: (c.payload_name, c.type)
    for c in COLUMNS
    if c.payload_name and c.name not in _BESIDE_DOCUMENTS
}
_STORED_ROWS: Final = "SELECT payload::bytea AS document, " + ", ".join(_BESIDE_DOCUMENTS)
_HAS_CAST: Final = """
SELECT count(*) FROM pg_cast WHERE castsource = 'jsonb'::regtype
  AND casttarget = 'bytea'::regtype AND castmethod = 'b'
"""
# An object, its strings (in UTF-8) and its numbers, as this machine's PostgreSQL lays them out.
_PROBE: Final = """SELECT '{"a": 1, "bb": "cé"}'::jsonb::bytea"""
_PROBE_LAYOUT: Final = bytes.fromhex(
    "020000200100008002000000090000100300000061626200200000000080010063c3a9"
)
_SELECT_LINKS: Final = (
    "SELECT site_id, visitor_id, user_id, event_type, linked_at, segment_id FROM identity_links"
)
_SELECT_IDS: Final = "SELECT event_id, ctid"


@contextmanager
def stream_rows(
    database_url: str, segment_id: int, is_duplicate: Marks = NO_MARKS
) -> Iterator[Iterator[pa.RecordBatch]]:
    """Batches of `ROW_SCHEMA`, about 10 MiB each, in physical order, without the duplicates."""
    with closing(_stream_rows(database_url, segment_table(segment_id), is_duplicate)) as batches:
        yield batches


def _stream_rows(
    database_url: str, table: str, is_duplicate: Marks
) -> Generator[pa.RecordBatch, None, None]:
    read = 0
    with _connect(database_url) as connection:
        if _gives_documents(connection):
            try:
                with (
                    _run(connection, f"{_STORED_ROWS} FROM {table}") as stored,
                    # PostgreSQL works meanwhile. Documents are read where rows are used: in the
                    # other thread they would have to change the processor's cache once more.
                    read_ahead(stored) as waiting,
                ):
                    for count, rows in _read_stored(waiting, is_duplicate):
                        read += count
                        yield rows
                        del rows
            except Unreadable as exc:
                log.warning("PostgreSQL picks the columns", extra={"row": read, "error": str(exc)})
            else:
                return
    with _stream(database_url, f"{_PICKED_ROWS} FROM {table} OFFSET {read:d}") as picked:
        rows = (batch.cast(ROW_SCHEMA) for batch in picked)
        yield from drop_duplicates(rows, is_duplicate[read:])


def _read_stored(
    stored: Iterable[pa.RecordBatch], is_duplicate: Marks
) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Batches of rows, and how many rows of the table each was read from."""
    read = 0
    for batch in stored:
        count = batch.num_rows
        rows = _read_documents(batch, is_duplicate[read : read + count])
        read += count
        del batch  # nothing is held while the next is made: they are large
        yield count, rows
        del rows


def _gives_documents(connection: AdbcConnection) -> bool:
    if not is_compiled():
        log.warning(
            "exporter/native/jsonb.so is missing or of another release (make compiles it):"
            " PostgreSQL picks the columns, slowly"
        )
        return False
    (casts,) = _ask(connection, _HAS_CAST)
    return casts != 0 and _ask(connection, _PROBE) == [_PROBE_LAYOUT]


def _read_documents(batch: pa.RecordBatch, is_duplicate: Marks) -> pa.RecordBatch:
    documents = batch.column("document")
    chosen = rows_to_keep(is_duplicate, batch.num_rows)
    # Copied in any case: a column that came with the documents would hold all their memory.
    batch = batch.select(_BESIDE_DOCUMENTS).take(pa.array(chosen))
    values = read_documents(documents, dict(_DOCUMENT_FIELDS.values()), chosen=chosen)
    columns = []
    for column in COLUMNS:
        if column.name in _DOCUMENT_FIELDS:
            array = values[_DOCUMENT_FIELDS[column.name][0]]
            if column.name in _WHEN_ABSENT:
                array = pc.fill_null(array, _WHEN_ABSENT[column.name])
        elif column.name in _BESIDE_DOCUMENTS:
            array = batch.column(column.name)
        elif column.name == "schema_version":
            array = pa.repeat(SCHEMA_VERSION, batch.num_rows)
        else:  # derived from the others, later
            array = pa.nulls(batch.num_rows)
        kind = ROW_SCHEMA.field(column.name).type
        columns.append(array if array.type == kind else array.cast(kind))
    return pa.RecordBatch.from_arrays(columns, schema=ROW_SCHEMA)


@contextmanager
def stream_ids(database_url: str, segment_id: int) -> Iterator[Iterator[pa.RecordBatch]]:
    """Batches of `event_id` (16 bytes) and `ctid` (6, `tid` as sent), in physical order."""
    with (
        _stream(database_url, f"{_SELECT_IDS} FROM {segment_table(segment_id)}") as stored,
        read_ahead(stored) as batches,
    ):
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
    """Batches of what a query finds, in a schema's types, about 10 MiB each."""
    with _stream(database_url, query) as batches:
        yield (batch.cast(schema) for batch in batches)


@contextmanager
def _stream(database_url: str, query: str) -> Iterator[Iterator[pa.RecordBatch]]:
    with _connect(database_url) as connection, _run(connection, query) as batches:
        yield batches


@contextmanager
def _connect(database_url: str) -> Iterator[AdbcConnection]:
    # ADBC's lower interface: its DBAPI loads pandas and more, 80 MB that nobody here needs.
    with adbc_driver_postgresql.connect(database_url) as database, AdbcConnection(database) as one:
        for statement in _SCAN_SETTINGS:
            with AdbcStatement(one) as setting:
                setting.set_sql_query(statement)
                setting.execute_update()
        yield one


@contextmanager
def _run(connection: AdbcConnection, query: str) -> Iterator[Iterator[pa.RecordBatch]]:
    with AdbcStatement(connection) as statement:
        statement.set_options(**{"adbc.postgresql.batch_size_hint_bytes": str(_BATCH_BYTES)})
        statement.set_sql_query(query)
        stream, _ = statement.execute_query()
        with pa.RecordBatchReader._import_from_c(stream.address) as reader:
            yield iter(reader)


def _ask(connection: AdbcConnection, query: str) -> list[Any]:
    """One column of a short answer."""
    with _run(connection, query) as batches:
        return [value for batch in batches for value in batch.column(0).to_pylist()]
