"""One definition of the event: what is stored, delivered and documented follows from it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import CheckConstraint, Engine, Inspector, inspect, text

from core.event import (
    ALIASES,
    COLUMNS,
    FILE_COLUMNS,
    ColumnType,
    DerivedFacts,
    Event,
    Origin,
    ServerFacts,
    wire_fields,
)
from database.recording_tables import metadata
from database.segments import create_partition
from database.tables import events_log
from exporter.arrow_schema import FILE_SCHEMA, ROW_SCHEMA
from exporter.stream import stream_rows

PARTITIONS = ("events_log_", "recording_chunks_")
BUFFER_ONLY = {"segment_id", "payload"}


def test_migrations_build_exactly_the_tables_of_the_metadata(engine: Engine) -> None:
    def ours(thing: Any, name: str | None, kind: str, reflected: bool, _: Any) -> bool:
        return not (kind == "table" and (name or "").startswith(PARTITIONS))

    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection,
            opts={"include_object": ours, "compare_type": True, "compare_server_default": True},
        )
        differences = compare_metadata(context, metadata)
    # Comments are for readers of the metadata.
    assert [d for d in differences if not (isinstance(d, tuple) and "comment" in d[0])] == []


def test_checks_and_keys_are_those_of_the_metadata(engine: Engine) -> None:
    found = inspect(engine)
    for table in metadata.tables:
        check_table(table, found)


def check_table(table: str, found: Inspector) -> None:
    described = metadata.tables[table]
    assert [c["name"] for c in found.get_columns(table)] == [c.name for c in described.columns]
    assert found.get_pk_constraint(table)["constrained_columns"] == [
        c.name for c in described.primary_key
    ]
    assert {c["name"] for c in found.get_check_constraints(table)} == {
        c.name for c in described.constraints if isinstance(c, CheckConstraint)
    }


def test_every_column_of_the_buffer_is_a_column_of_the_contract() -> None:
    names = {column.name for column in COLUMNS}
    assert {column.name for column in events_log.columns} - BUFFER_ONLY <= names


def test_the_payload_holds_every_field_of_the_contract() -> None:
    made_by_the_server = {f.name for f in msgspec.structs.fields(ServerFacts)}
    derived = {f.name for f in msgspec.structs.fields(DerivedFacts)}
    assert not (made_by_the_server | derived) & set(wire_fields())
    assert derived == {c.name for c in COLUMNS if c.origin is Origin.EXPORT}
    assert made_by_the_server == {c.name for c in COLUMNS if c.origin is Origin.SERVER} - {
        "received_at",
        "device_occurred_at",
        "schema_version",
    }


def test_a_partition_has_no_secondary_index(engine: Engine) -> None:
    with engine.begin() as connection:
        create_partition(connection, 99)
        indexes = connection.execute(
            text("SELECT indexname FROM pg_indexes WHERE tablename LIKE 'events_log%'")
        ).all()
    assert indexes == []


def test_files_carry_the_columns_of_the_contract_in_its_order() -> None:
    assert FILE_SCHEMA.names == [c.name for c in FILE_COLUMNS]
    assert ROW_SCHEMA.names == [c.name for c in COLUMNS]
    assert set(ROW_SCHEMA.names) - set(FILE_SCHEMA.names) == {"site_id"}
    types = {
        ColumnType.STRING: pa.string(),
        ColumnType.JSON: pa.string(),
        ColumnType.INT32: pa.int32(),
        ColumnType.BOOLEAN: pa.bool_(),
        ColumnType.TIMESTAMP: pa.timestamp("us", tz="UTC"),
    }
    assert {c.name: types[c.type] for c in FILE_COLUMNS} == {f.name: f.type for f in FILE_SCHEMA}


def test_every_column_is_documented_with_an_example() -> None:
    for column in COLUMNS:
        assert column.meaning, column.name
        assert column.example, column.name
    by_name = {column.name: column for column in COLUMNS}
    assert by_name["title"].limit == "1,000 characters"
    assert by_name["consent"].limit == "one of granted, denied, pending, unknown"


def test_the_buffer_streams_as_the_rows_of_the_contract(database_url: str) -> None:
    with stream_rows(database_url, 1) as batches:
        assert list(batches) == []


def test_aliases_stand_for_fields_and_take_no_fields_name() -> None:
    names = wire_fields()
    assert set(ALIASES.values()) <= set(names)
    assert not set(ALIASES) & (set(names) | set(names.values()))


def test_wire_names_are_camel_case_and_columns_snake_case() -> None:
    for column, wire in wire_fields().items():
        assert column == column.lower()
        assert "_" not in wire
        assert "".join("_" + c.lower() if c.isupper() else c for c in wire) == column


def test_only_the_type_of_an_event_is_required() -> None:
    assert [f.name for f in msgspec.structs.fields(Event) if f.required] == ["event_type"]


def test_the_committed_schema_is_the_contracts() -> None:
    committed = Path(__file__).parents[2] / "core" / "contract" / "event.schema.json"
    assert (
        msgspec.json.decode(committed.read_bytes())["$defs"]
        == msgspec.json.decode(msgspec.json.encode(msgspec.json.schema(Event)))["$defs"]
    )
