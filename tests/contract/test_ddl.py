"""Each engine's DDL says what the schemas say: parsed in its dialect, held column by column."""

from __future__ import annotations

import argparse
import json
import re
from typing import Any

import pyarrow as pa
import pytest
import sqlglot
from sqlglot import exp

from cli.schema import add_arguments, print_schema
from core.keys import EVENT_DATASETS, DayKey, ObjectKey, Partition
from core.version import VERSION
from exporter.arrow_schema import FILE_SCHEMA
from exporter.schemas import (
    athena,
    bigquery,
    clickhouse,
    duckdb,
    glue,
    projection,
    snowflake,
    spark,
)
from exporter.schemas.dataset import Dataset, columns_of
from exporter.schemas.datasets import describe_datasets, parquet_datasets
from exporter.schemas.ddl import ENGINES, Engine, file_name, write_ddl
from exporter.schemas.location import Location
from exporter.schemas.schema_object import write_schema
from exporter.schemas.sql_text import MAX_COMMENT_CHARS
from tests.conftest import NOON, ROOT

LOCATION = Location("acme-events", "analytics", "eu-central-1")
DATASETS = list(describe_datasets().values())
PARQUET = [d for d in DATASETS if d.format == "parquet"]
TYPES: dict[Engine, dict[Any, str]] = {
    "athena": projection.TYPES,
    "snowflake": snowflake.TYPES,
    "bigquery": bigquery.TYPES,
    "duckdb": duckdb.TYPES,
    "spark": spark.TYPES,
}


def expected_types(dataset: Dataset, engine: Engine) -> dict[str, str]:
    """Type by column, in the dialect's own spelling as sqlglot writes it."""
    return {
        c.name: sqlglot.parse_one(f"CAST(x AS {TYPES[engine][c.kind]})", dialect=engine).to.sql(
            engine
        )
        for c in (*dataset.columns, *dataset.key_columns)
    }


def parse(engine: Engine, dataset: Dataset) -> list[exp.Expression]:
    statements = sqlglot.parse(write_ddl(engine, [dataset], LOCATION), dialect=engine)
    return [s for s in statements if s is not None]


def creation_of(statements: list[exp.Expression], name: str) -> exp.Create:
    (found,) = [
        s
        for s in statements
        if isinstance(s, exp.Create) and s.kind in ("TABLE", "EXTERNAL TABLE", "VIEW")
    ]
    assert found.find(exp.Table).name.split(".")[-1] == name  # type: ignore[union-attr]
    return found


def defined(creation: exp.Expression, engine: str) -> dict[str, str]:
    return {
        column.name: column.args["kind"].sql(engine)
        for column in creation.find_all(exp.ColumnDef)
        if column.args.get("kind")
    }


@pytest.mark.parametrize("dataset", PARQUET, ids=lambda d: d.name)
@pytest.mark.parametrize("engine", ["athena", "snowflake", "spark"])
def test_a_table_has_every_column_in_its_type(engine: Engine, dataset: Dataset) -> None:
    creation = creation_of(parse(engine, dataset), dataset.name)
    assert defined(creation, engine) == expected_types(dataset, engine)


@pytest.mark.parametrize("dataset", PARQUET, ids=lambda d: d.name)
def test_bigquerys_table_has_every_column_in_its_type(dataset: Dataset) -> None:
    """The parser knows no partition columns and no connection: they are parsed apart."""
    sql = write_ddl("bigquery", [dataset], LOCATION)
    head, partitions, options = re.split(
        r"\nWITH PARTITION COLUMNS |\nWITH CONNECTION `aws-eu-central-1.sluice`\n", sql
    )
    (in_file,) = filter(None, sqlglot.parse(f"{head}\n{options}", dialect="bigquery"))
    in_key = sqlglot.parse_one(f"CREATE TABLE `{dataset.name}` {partitions}", dialect="bigquery")
    assert isinstance(in_file, exp.Create)
    found = defined(in_file, "bigquery") | defined(in_key, "bigquery")
    assert found == expected_types(dataset, "bigquery")


@pytest.mark.parametrize("dataset", PARQUET, ids=lambda d: d.name)
def test_duckdbs_view_has_every_column_in_its_type(dataset: Dataset) -> None:
    creation = creation_of(parse("duckdb", dataset), dataset.name)
    typed = {
        alias.alias: alias.this.to.sql("duckdb")
        for alias in creation.find_all(exp.Alias)
        if isinstance(alias.this, exp.Cast)
    }
    assert typed == expected_types(dataset, "duckdb")


@pytest.mark.parametrize("dataset", PARQUET, ids=lambda d: d.name)
def test_clickhouses_view_has_every_column_in_its_type(dataset: Dataset) -> None:
    creation = creation_of(parse("clickhouse", dataset), dataset.name)
    selected = [c.alias_or_name for c in creation.find(exp.Select).expressions]  # type: ignore[union-attr]
    assert selected == [c.name for c in (*dataset.columns, *dataset.key_columns)]
    structure = clickhouse.write_view(dataset, LOCATION).split("'Parquet',\n  '")[1]
    structure = structure.split("'\n)")[0].replace("\\'", "'")
    assert dict(re.findall(r"`(\w+)` (\w+(?:\(.*?\)+)?)", structure)) == {
        c.name: clickhouse.type_of(c) for c in dataset.columns
    }


@pytest.mark.parametrize("dataset", PARQUET, ids=lambda d: d.name)
def test_glues_table_is_athenas(dataset: Dataset) -> None:
    (table,) = json.loads(write_ddl("glue", [dataset], LOCATION))
    columns = [*table["StorageDescriptor"]["Columns"], *table["PartitionKeys"]]
    assert {c["Name"]: c["Type"] for c in columns} == {
        c.name: projection.TYPES[c.kind] for c in (*dataset.columns, *dataset.key_columns)
    }
    assert all(len(c["Comment"]) <= MAX_COMMENT_CHARS for c in columns)
    sql = athena.write_table(dataset, LOCATION)
    for name, value in projection.project(dataset, LOCATION).items():
        assert table["Parameters"][name] == value
        assert f"'{name}' = '{value}'" in sql
    assert glue.write_tables([], LOCATION).strip() == "[]"


@pytest.mark.parametrize("dataset", PARQUET, ids=lambda d: d.name)
def test_a_projected_folder_is_one_that_we_build(dataset: Dataset) -> None:
    """Athena puts the values into the template: what comes out is where a key of ours stands."""
    at = NOON.replace(month=3, day=4, hour=5)
    if dataset.name in EVENT_DATASETS:
        key = ObjectKey("events", Partition("b/ü.example", at), 7, 0, "parquet").under("analytics")
    else:
        key = DayKey(dataset.name, at, 7).under("analytics")
    properties = projection.project(dataset, LOCATION)
    folder = properties["storage.location.template"]
    for column in dataset.key_columns:
        if column.name == "site_id":
            assert properties["projection.site_id.type"] == "injected"
            value = "b%2F%C3%BC.example"
        else:
            assert properties[f"projection.{column.name}.type"] == "integer"
            first, last = map(int, properties[f"projection.{column.name}.range"].split(","))
            number = getattr(at, column.name)
            assert first <= number <= last
            value = str(number).zfill(int(properties.get(f"projection.{column.name}.digits", 1)))
        folder = folder.replace(f"${{{column.name}}}", value)
    assert folder == f"s3://acme-events/{key.rpartition('/')[0]}"


def test_a_bucket_elsewhere_is_told_as_its_engine_calls_it() -> None:
    minio = Location("acme", "analytics", None, "http://minio:9000")
    google = Location("acme", "analytics", None, "https://storage.googleapis.com")
    folder = Location("file:///a/b%20c", "analytics")
    events = parquet_datasets(["events"])
    assert "'http://minio:9000/acme/analytics/events/**.parquet'" in write_ddl(
        "clickhouse", events, minio
    )
    told = write_ddl("duckdb", events, minio)
    assert "ENDPOINT 'minio:9000', URL_STYLE 'path', USE_SSL false" in told
    assert "'gs://acme/analytics/events/*'" in write_ddl("bigquery", events, google)
    assert "CONNECTION" not in write_ddl("bigquery", events, google)
    assert "'/a/b c/analytics/events/**/*.parquet'" in write_ddl("duckdb", events, folder)
    assert "SECRET" not in write_ddl("duckdb", events, folder)


@pytest.mark.parametrize("engine", ENGINES)
def test_the_command_prints_what_is_committed(
    engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    print_schema(parser.parse_args(["--engine", engine, "--bucket", "your-bucket"]))
    committed = ROOT / "core" / "contract" / "ddl" / file_name(engine)
    assert capsys.readouterr().out == committed.read_text()


def test_the_command_takes_datasets_and_promotions(capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    asked = ["--engine", "spark", "--bucket", "acme", "--dataset", "events"]
    print_schema(parser.parse_args([*asked, "--promote", "properties.price:double"]))
    told = capsys.readouterr().out
    assert "`p_price` DOUBLE" in told
    assert "`failed`" not in told


def test_what_is_asked_for_by_name_is_what_is_told() -> None:
    told = write_ddl("spark", parquet_datasets(["failed"]), LOCATION)
    assert "`failed`" in told
    assert "`events`" not in told
    assert [d.name for d in parquet_datasets()] == [
        "events", "identities", "failed", "sites", "replay_index",
    ]  # fmt: skip


@pytest.mark.parametrize("dataset", DATASETS, ids=lambda d: d.name)
def test_the_schema_object_tells_of_every_column(dataset: Dataset) -> None:
    told = json.loads(write_schema(dataset))
    assert [c["name"] for c in told["columns"] if c["in"] == "file"] == [
        c.name for c in dataset.columns
    ]
    assert [c["name"] for c in told["columns"] if c["in"] == "key"] == [
        c.name for c in dataset.key_columns
    ]
    for column in told["columns"]:
        assert column["meaning"], column["name"]
        assert [int(n) for n in column["since"].split(".")] <= [int(n) for n in VERSION.split(".")]


def test_a_column_that_comes_later_is_told_with_the_others() -> None:
    """A promoted property, as a stack's own setting may add it."""
    promoted = pa.field("price", pa.float64(), metadata={"meaning": "…", "since": "0.1.0"})
    schema = pa.schema([*FILE_SCHEMA, promoted])
    events = describe_datasets(schema)["events"]
    for engine in ENGINES:
        assert "price" in write_ddl(engine, [events], LOCATION), engine
    assert events.columns[-1].kind == "double"


def test_a_type_that_no_engine_is_told_of_is_named() -> None:
    odd = pa.field("odd", pa.list_(pa.int8()), metadata={"meaning": "…"})
    with pytest.raises(ValueError, match="odd is list"):
        columns_of(pa.schema([odd]))
