"""Stream a sealed segment out of PostgreSQL, as Arrow.

A sealed segment is immutable, so one sequential scan always gives the same rows in the same
order: a row's number in that order is its name.

Payloads come as they are stored, and are read here (`jsonb.py`): 1.5 µs a row of PostgreSQL's
time against 5.2 for picking each column there, 2.7 for a bare `COPY`. Rows that are stored in
another way, and all of them where the cast is not there to ask for (migration 0006), are picked
by PostgreSQL; a test holds the two against each other.
"""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Final, assert_never

import adbc_driver_postgresql
import numpy as np
import numpy.typing as npt
import psycopg
import pyarrow as pa
import pyarrow.compute as pc
from adbc_driver_manager import AdbcConnection, AdbcStatement
from psycopg.conninfo import make_conninfo

from core.event import COLUMNS, SCHEMA_VERSION, Column, ColumnType
from database.tables import segment_table
from exporter.arrow_schema import IDENTITIES_SCHEMA, ROW_SCHEMA
from exporter.copy_rows import BUFFERS, CopiedRows, read_rows
from exporter.copy_source import open_source
from exporter.dedup import NO_MARKS, Marks, drop_duplicates, rows_to_keep
from exporter.jsonb import DocumentReader, Documents
from exporter.native import Unreadable, is_compiled
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

# Without it each connection reads every column of every table that there is: with a thousand
# segments in the buffer that takes longer than to deliver one.
_BUILTIN_TYPES: Final = {"adbc.postgresql.type_resolver_mode": "builtin"}


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
_STORED_WIDTHS: Final = (None, 8, 8)
_HAS_CAST: Final = """
SELECT EXISTS (SELECT FROM pg_cast WHERE castsource = 'jsonb'::regtype
  AND casttarget = 'bytea'::regtype AND castmethod = 'b')
"""
# An object, its strings (in UTF-8) and its numbers, as this machine's PostgreSQL lays them out.
_PROBE: Final = """SELECT '{"a": 1, "bb": "cé"}'::jsonb::bytea"""
_PROBE_LAYOUT: Final = bytes.fromhex(
    "020000200100008002000000090000100300000061626200200000000080010063c3a9"
)
_SELECT_LINKS: Final = (
    "SELECT site_id, visitor_id, user_id, event_type, linked_at, segment_id FROM identity_links"
)
_ID_WIDTHS: Final = {"event_id": 16, "ctid": 6}
_SELECT_IDS: Final = "SELECT " + ", ".join(_ID_WIDTHS)
_YEAR_2000: Final = 946_684_800_000_000  # microseconds
_NO_INSTANT: Final = 1 << 62  # and beyond: "infinity" is the largest number there is


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
    if _can_read_documents(database_url):
        try:
            with _copy(database_url, f"{_STORED_ROWS} FROM {table}", _STORED_WIDTHS) as stored:
                for count, rows in _read_stored(stored, is_duplicate):
                    read += count
                    yield rows
                    del rows  # nothing is held while the next is made: they are large
        except Unreadable as exc:
            log.warning("PostgreSQL picks the columns", extra={"row": read, "error": str(exc)})
        else:
            return
    with _stream(database_url, f"{_PICKED_ROWS} FROM {table} OFFSET {read:d}") as picked:
        batches = (batch.cast(ROW_SCHEMA) for batch in picked)
        yield from drop_duplicates(batches, is_duplicate[read:])


def _read_stored(
    stored: Iterable[CopiedRows], is_duplicate: Marks
) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Batches of rows, and how many rows of the table each was read from."""
    reader = DocumentReader(dict(_DOCUMENT_FIELDS.values()))
    read = 0
    for rows in stored:
        count = len(rows.begins)
        kept = _read_documents(reader, rows, is_duplicate[read : read + count])
        read += count
        yield count, kept
        del kept


def _can_read_documents(database_url: str) -> bool:
    if not is_compiled():
        log.warning(
            "exporter/native/rows.so is missing or of another release (make compiles it):"
            " PostgreSQL picks the columns, slowly"
        )
        return False
    with _connect_psycopg(database_url) as connection:
        (has_cast,) = connection.execute(_HAS_CAST).fetchone() or (False,)
        return has_cast and connection.execute(_PROBE).fetchone() == (_PROBE_LAYOUT,)


def _read_documents(
    reader: DocumentReader, rows: CopiedRows, is_duplicate: Marks
) -> pa.RecordBatch:
    chosen = rows_to_keep(is_duplicate, len(rows.begins))
    values = reader.read(Documents(rows.data, rows.begins, rows.ends), chosen)
    beside = dict(zip(_BESIDE_DOCUMENTS, rows.fixed, strict=True))
    columns = []
    for column in COLUMNS:
        if column.name in _DOCUMENT_FIELDS:
            array = values[_DOCUMENT_FIELDS[column.name][0]]
            if column.name in _WHEN_ABSENT:
                array = pc.fill_null(array, _WHEN_ABSENT[column.name])
        elif column.name in beside:
            array = _instants(beside[column.name][chosen])
        elif column.name == "schema_version":
            array = pa.repeat(SCHEMA_VERSION, len(chosen))
        else:  # derived from the others, later
            array = pa.nulls(len(chosen))
        kind = ROW_SCHEMA.field(column.name).type
        columns.append(array if array.type == kind else array.cast(kind))
    return pa.RecordBatch.from_arrays(columns, schema=ROW_SCHEMA)


def _instants(sent: npt.NDArray[np.uint8]) -> pa.Array:
    """`timestamptz` as it is sent: microseconds since 2000, most significant byte first."""
    since_2000 = sent.view(">i8").ravel().astype(np.int64)
    if not ((since_2000 > -_NO_INSTANT) & (since_2000 < _NO_INSTANT)).all():
        raise Unreadable("a time without end")
    return pa.array(since_2000 + _YEAR_2000, pa.timestamp("us", tz="UTC"))


@contextmanager
def stream_ids(database_url: str, segment_id: int) -> Iterator[Iterator[pa.RecordBatch]]:
    """Batches of `event_id` (16 bytes) and `ctid` (6, `tid` as sent), in physical order."""
    query = f"{_SELECT_IDS} FROM {segment_table(segment_id)}"
    if is_compiled():
        with _copy(database_url, query, tuple(_ID_WIDTHS.values())) as copied:
            yield map(_copy_ids, copied)
    else:
        with _stream(database_url, query) as batches:
            yield batches


def _copy_ids(rows: CopiedRows) -> pa.RecordBatch:
    """For longer than the buffers hold them."""
    return pa.record_batch(
        {
            name: pa.FixedSizeBinaryArray.from_buffers(
                pa.binary(width), len(field), [None, pa.py_buffer(field.tobytes())]
            )
            for (name, width), field in zip(_ID_WIDTHS.items(), rows.fixed, strict=True)
        }
    )


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
def _copy(
    database_url: str, query: str, widths: Sequence[int | None]
) -> Iterator[Iterator[CopiedRows]]:
    """PostgreSQL works, and sends, while the rows before are used.

    Documents are read where rows are used: in the other thread they would have to change the
    processor's cache once more.
    """
    copy = f"COPY ({query}) TO STDOUT (FORMAT binary)"
    with closing(_connect_psycopg(database_url)) as connection:
        for statement in _SCAN_SETTINGS:
            connection.execute(statement)
        with closing(open_source(connection, copy)) as source:
            rows = read_rows(source, widths, buffer_bytes=_BATCH_BYTES)
            # One buffer is filled, one waits, and one is in use.
            with read_ahead(rows, depth=BUFFERS - 2, stop=source.stop) as waiting:
                yield waiting


def _connect_psycopg(database_url: str) -> psycopg.Connection:
    return psycopg.connect(
        database_url, autocommit=True, connect_timeout=10, application_name="sluice exporter"
    )


@contextmanager
def _connect(database_url: str) -> Iterator[AdbcConnection]:
    # ADBC's lower interface: its DBAPI loads pandas and more, 80 MB that nobody here needs.
    address = make_conninfo(database_url, connect_timeout=10, application_name="sluice exporter")
    with (
        adbc_driver_postgresql.connect(address, _BUILTIN_TYPES) as database,
        AdbcConnection(database) as one,
    ):
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
